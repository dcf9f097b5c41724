"""T6: broker and database die by SIGKILL under load, and start again with their files."""

import time
from concurrent.futures import ThreadPoolExecutor

from .. import journal
from ..client import Refused
from ..system import System
from ..trial import Column, Result, Sizes, Tail, settle, warm_up

NAME = "T6"
TITLE = "Broker and database are killed and restarted under load"
COLUMNS = [
    Column("accepted", "accepted"),
    Column("refused", "refused or failed calls"),
    Column("unfinished", "accepted, without a result at the limit"),
    Column("doubled", "ran to the end twice"),
    Column("extra", "surplus result rows"),
    Column("settled", "last call to last result, s", 1),
    Column("revived", "workers that ended"),
]
WORKERS = 1
LOCKS = True
CALLS_PER_SECOND = 10
JOB_MS = 200


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    accepted: list[int] = []
    refused = 0

    def call() -> int | None:
        try:
            return system.client.submit(f"{JOB_MS}ms.test").job
        except Refused:
            return None

    restarts = [(sizes.load_s / 3, system.restart_broker), (2 * sizes.load_s / 3, system.restart_database)]
    names = []
    revived = 0
    with ThreadPoolExecutor(64) as pool:
        begin = time.monotonic()
        calls = []
        ongoing = None
        for number in range(int(sizes.load_s * CALLS_PER_SECOND)):
            time.sleep(max(0.0, begin + number / CALLS_PER_SECOND - time.monotonic()))
            calls.append(pool.submit(call))
            if ongoing is not None and ongoing.done():
                names.append(ongoing.result())
                ongoing = None
            if ongoing is None:
                revived += system.revive()
                if restarts and time.monotonic() - begin > restarts[0][0]:
                    ongoing = pool.submit(restarts.pop(0)[1])
        if ongoing is not None:
            names.append(ongoing.result())
        for one in calls:
            job = one.result()
            if job is None:
                refused += 1
            else:
                accepted.append(job)
    took, more = settle(system, accepted, sizes.kill_limit_s, JOB_MS / 1000)
    tail = Tail(system.place.log)
    outcome = journal.outcome(tail.read(), accepted, system.results(accepted))
    restarted = " and ".join(name for name in names if name)
    return Result(
        {
            "accepted": len(accepted),
            "refused": refused,
            "unfinished": len(outcome.unfinished),
            "doubled": len(outcome.doubled),
            "extra": outcome.extra_rows,
            "settled": None if outcome.unfinished else took,
            "revived": revived + more,
        },
        [f"{system.name}: restarted {restarted}"],
    )
