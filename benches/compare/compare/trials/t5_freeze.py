"""T5: one of two workers is frozen, as by a suspended virtual machine, and comes back. The other one has
free slots."""

import signal
import time

from .. import journal, processes
from ..system import System
from ..trial import INSTANT, Column, Result, Sizes, Tail, settle, warm_up

NAME = "T5"
TITLE = "A worker is frozen (SIGSTOP), and comes back"
COLUMNS = [
    Column("jobs", "its running jobs"),
    Column("overlapped", "two processes at once"),
    Column("doubled", "ran to the end twice"),
    Column("taken", "started elsewhere or again"),
    Column("takeover", "freeze to first such start, s", 1),
    Column("unfinished", "without a result at the limit"),
]
WORKERS = 1
LOCKS = True
MORE_S = 30
AGAIN_S = 0.5


def wait_for_second(system: System, tail: Tail) -> None:
    """Submits instant jobs until one ends. The first worker has no slot, but may hold some of them in
    its own queue."""
    submitted = []
    last = 0.0

    def has_worked() -> bool:
        nonlocal last
        if time.monotonic() - last > AGAIN_S:
            last = time.monotonic()
            submitted.append(system.client.submit(INSTANT).job)
        return any(tail.is_finished(job) for job in submitted)

    processes.until("a job of the second worker", has_worked, 60)


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    tail = Tail(system.place.log)
    before = tail.count("start") + tail.count("overlap")
    target = f"{int((sizes.freeze_s + MORE_S) * 1000)}ms.test"
    jobs = [system.client.submit(target).job for _ in range(system.place.slots)]
    processes.until("the long jobs", lambda: tail.count("start") + tail.count("overlap") >= before + len(jobs), 60)
    if system.max_workers > 1:
        system.start_worker(1)
        wait_for_second(system, tail)
    frozen = system.worker_pids(0)
    processes.send(frozen, signal.SIGSTOP)
    frozen_ns = time.monotonic_ns()
    time.sleep(sizes.freeze_s)
    processes.send(frozen, signal.SIGCONT)
    settle(system, jobs, MORE_S + sizes.kill_limit_s, sizes.freeze_s + MORE_S)
    events = tail.read()
    outcome = journal.outcome(events, jobs, system.results(jobs))
    again = journal.recoveries(events, jobs, frozen_ns)
    notes = []
    if len(system.workers) == 1:
        notes.append(f"{system.name}: one worker only")
    return Result(
        {
            "jobs": len(jobs),
            "overlapped": len(outcome.overlapped),
            "doubled": len(outcome.doubled),
            "taken": len(again),
            "takeover": min(again.values()) if again else None,
            "unfinished": len(outcome.unfinished),
        },
        notes,
    )
