"""T10: one tenant fills the queue, another one submits a few jobs."""

import time

from .. import journal
from ..statistics import median
from ..system import System
from ..trial import Column, Result, Sizes, Tail, stored, warm_up

NAME = "T10"
TITLE = "Noisy neighbour: wait of ten jobs behind another tenant's queue"
COLUMNS = [
    Column("median", "call to start, median s", 2),
    Column("slowest", "slowest, s", 2),
    Column("alone", "time of the neighbour's jobs alone, s", 1),
]
WORKERS = 1
LOCKS = False
JOB_MS = 200
FEW = 10


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    before = system.count()
    target = f"{JOB_MS}ms.test"
    system.client.submit_many([target] * sizes.noise, sizes.in_flight, tenant="a")
    time.sleep(1)
    mine = [system.client.submit(target, tenant="b") for _ in range(FEW)]
    stored(system, before + sizes.noise + FEW, sizes.limit_s, 0.05)
    began = journal.first_starts(Tail(system.place.log).read())
    waits = [(began[one.job] - one.called_ns) / 1e9 for one in mine]
    notes = [] if system.has_fairness else [f"{system.name}: one queue, no setting for tenants is used"]
    return Result(
        {
            "median": median(waits),
            "slowest": max(waits),
            "alone": sizes.noise * JOB_MS / 1000 / system.place.slots,
        },
        notes,
    )
