"""T4: the worker's processes die by SIGKILL at random moments, and a supervisor starts it again."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from .. import journal, processes
from ..statistics import median
from ..system import System
from ..trial import Column, Result, Sizes, Tail, settle, warm_up

NAME = "T4"
TITLE = "kill -9 of the worker at random moments"
COLUMNS = [
    Column("interrupted", "running jobs at the kills"),
    Column("unfinished", "without a result at the limit"),
    Column("doubled", "ran to the end twice"),
    Column("overlapped", "two processes at once"),
    Column("orphans", "scanners that outlived it by 1 s or to their end"),
    Column("recovery", "kill to next start, median s", 1),
    Column("slowest", "slowest, s", 1),
]
WORKERS = 1
LOCKS = True
JOB_MS = 2000


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    random_moments = random.Random(sizes.seed)
    tail = Tail(system.place.log)
    accepted: list[int] = []
    interrupted = 0
    orphans: set[tuple[int, int]] = set()
    recoveries: list[float] = []
    kills: list[tuple[int, dict[int, int]]] = []
    for _ in range(sizes.kills):
        before = tail.count("start") + tail.count("overlap")
        # As many again wait in the queue.
        jobs = [system.client.submit(f"{JOB_MS}ms.test").job for _ in range(2 * system.place.slots)]
        accepted += jobs
        processes.until(
            "the first job of a round", lambda: tail.count("start") + tail.count("overlap") > before, 120, 0.002
        )
        time.sleep(random_moments.uniform(0.05, 2 * JOB_MS / 1000 - 0.2))
        system.kill_worker(0)
        killed_ns = time.monotonic_ns()
        # Processes of earlier rounds that a kill ended have no end in the log either.
        running = {job: pid for job, pid in journal.interrupted(tail.read(), killed_ns).items() if job in jobs}
        interrupted += len(running)
        kills.append((killed_ns, running))
        with ThreadPoolExecutor(1) as pool:
            restart = pool.submit(system.start_worker, 0)
            time.sleep(max(0.0, 1 - (time.monotonic_ns() - killed_ns) / 1e9))
            # Only the processes from before the kill: the new worker may have started others.
            orphans |= {(killed_ns, pid) for pid in set(running.values()) & system.scanners()}
            restart.result()
        settle(system, jobs, sizes.kill_limit_s, JOB_MS / 1000)
    events = tail.read()
    for killed_ns, running in kills:
        recoveries += journal.recoveries(events, running, killed_ns).values()
        orphans |= {(killed_ns, pid) for pid in journal.outlived(events, running, killed_ns)}
    outcome = journal.outcome(events, accepted, system.results(accepted))
    notes = []
    if outcome.unfinished:
        notes.append(
            f"{system.name} ({system.profile}): {len(outcome.unfinished)} of {len(accepted)} jobs had no result"
            f" {sizes.kill_limit_s:.0f} s after their kill"
        )
    return Result(
        {
            "interrupted": interrupted,
            "unfinished": len(outcome.unfinished),
            "doubled": len(outcome.doubled),
            "overlapped": len(outcome.overlapped),
            "orphans": len(orphans),
            "recovery": median(recoveries) if recoveries else None,
            "slowest": max(recoveries) if recoveries else None,
        },
        notes,
    )
