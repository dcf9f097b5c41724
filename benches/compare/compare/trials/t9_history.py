"""T9: a store with many finished jobs."""

import time

from .. import processes
from ..statistics import median, percentile
from ..system import System
from ..trial import INSTANT, Column, Result, Sizes, Tail, start_latencies, stored, warm_up

NAME = "T9"
TITLE = "With finished jobs in the store"
COLUMNS = [
    Column("median", "call to start, median ms", 1),
    Column("p99", "p99, ms", 1),
    Column("memory", "memory together, MB"),
    Column("disk", "on disk, MB"),
    Column("restart", "restart of the worker to the next start, s", 1),
]
WORKERS = 1
LOCKS = False
FILL_LIMIT_S = 7200
SINGLES = 50


def run(system: System, sizes: Sizes) -> Result:
    if not system.has_history:
        return Result(dict.fromkeys(("median", "p99", "memory", "disk", "restart")), [f"{system.name}: not measured"])
    warm_up(system)
    system.store_finished(sizes.history)
    # Jobs run in order, so this one is the last.
    rows = system.count()
    system.client.submit(INSTANT)
    stored(system, rows + 1, FILL_LIMIT_S, 0.1)
    warm_up(system)
    starts, _ = start_latencies(system, min(SINGLES, sizes.singles))
    memory = processes.pss_mb([*system.own_pids(), *system.server_pids()])
    disk = system.disk_mb()
    processes.end(system.workers[0])
    tail = Tail(system.place.log)
    starts_before = tail.count("start")
    begin = time.monotonic()
    system.start_worker(0)
    system.client.submit(INSTANT)
    tail.wait("the first job after the restart", "start", starts_before + 1, 600)
    return Result(
        {
            "median": median(starts),
            "p99": percentile(starts, 0.99),
            "memory": memory,
            "disk": disk,
            "restart": time.monotonic() - begin,
        }
    )
