"""T2: many jobs at once, against the same processes without any store."""

import subprocess
import time

from .. import processes
from ..system import Place, System
from ..trial import INSTANT, Column, Result, Sizes, stored, warm_up

NAME = "T2"
TITLE = "Burst: jobs per second"
COLUMNS = [
    Column("rate", "jobs/s, first call to last result"),
    Column("accepted", "calls/s accepted"),
]
WORKERS = 1
LOCKS = False


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    before = system.count()
    begin = time.monotonic()
    submissions = system.client.submit_many([INSTANT] * sizes.burst, sizes.in_flight)
    accepted = sizes.burst / (max(one.answered_ns for one in submissions) / 1e9 - begin)
    try:
        stored(system, before + sizes.burst, sizes.limit_s, 0.02)
    except processes.TimedOut:
        done = system.count() - before
        note = f"{system.name} ({system.profile}): {done} of {sizes.burst} jobs were done after {sizes.limit_s:.0f} s"
        return Result({"rate": done / (time.monotonic() - begin), "accepted": accepted}, [note])
    return Result({"rate": sizes.burst / (time.monotonic() - begin), "accepted": accepted})


def floor(place: Place, sizes: Sizes) -> Result:
    """The same processes, started and awaited by a small C program."""
    place.results.mkdir(exist_ok=True)
    command = [place.scanner, "--floor", str(sizes.burst), str(place.slots), place.results]
    took = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Result({"rate": sizes.burst / (int(took) / 1e9), "accepted": None})
