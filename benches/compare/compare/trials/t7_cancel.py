"""T7: a running job is cancelled whose scanner has a grandchild that ignores SIGINT and SIGTERM."""

import signal
import time

from .. import journal, processes
from ..client import Refused
from ..statistics import median
from ..system import System
from ..trial import Column, Result, Sizes, Tail, warm_up

NAME = "T7"
TITLE = "Cancel of a job with a stubborn grandchild"
COLUMNS = [
    Column("gone", "call to the end of all its processes, median s", 2),
    Column("slowest", "slowest, s", 2),
    Column("left", "jobs with a process left at the limit"),
]
WORKERS = 1
LOCKS = False


def run(system: System, sizes: Sizes) -> Result:
    if not system.has_cancel:
        note = f"{system.name}: no call of the system ends a running job from outside its worker"
        return Result({"gone": None, "slowest": None, "left": None}, [note])
    warm_up(system)
    tail = Tail(system.place.log)
    took: list[float] = []
    left = 0
    notes = []
    for number in range(1, sizes.cancels + 1):
        job = system.client.submit("600000ms-child-stubborn.test").job
        tail.wait("the grandchild", "child", number, 60)
        pids = journal.processes_by_job(tail.events)[job]
        begin = time.monotonic()
        try:
            system.client.cancel(job)
            processes.until("the end", lambda: not pids & system.scanners(), sizes.cancel_limit_s)
            took.append(time.monotonic() - begin)
        except (processes.TimedOut, Refused) as error:
            left += 1
            notes.append(f"{system.name} ({system.profile}): {error}")
            processes.send(pids & system.scanners(), signal.SIGKILL)
    return Result(
        {"gone": median(took) if took else None, "slowest": max(took) if took else None, "left": left},
        sorted(set(notes)),
    )
