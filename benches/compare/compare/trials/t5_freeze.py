"""T5: one of two workers is frozen, as by a suspended virtual machine, and comes back."""

import signal
import time

from .. import journal, processes
from ..system import System
from ..trial import Column, Result, Sizes, Tail, settle, warm_up

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
WORKERS = 2
LOCKS = True
MORE_S = 30


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    tail = Tail(system.place.log)
    before = tail.count("start") + tail.count("overlap")
    count = system.place.slots * len(system.workers)
    target = f"{int((sizes.freeze_s + MORE_S) * 1000)}ms.test"
    jobs = [system.client.submit(target).job for _ in range(count)]
    processes.until("the long jobs", lambda: tail.count("start") + tail.count("overlap") >= before + count, 60)
    everything = set(processes.tree([system.workers[0].pid]))
    held = {event.job for event in tail.read() if event.job in jobs and event.pid in everything}
    frozen = system.worker_pids(0)
    processes.send(frozen, signal.SIGSTOP)
    frozen_ns = time.monotonic_ns()
    time.sleep(sizes.freeze_s)
    processes.send(frozen, signal.SIGCONT)
    settle(system, jobs, MORE_S + sizes.kill_limit_s)
    events = tail.read()
    outcome = journal.outcome(events, jobs, system.results(jobs))
    again = journal.recoveries(events, held, frozen_ns)
    notes = []
    if len(system.workers) == 1:
        notes.append(f"{system.name}: one worker only")
    return Result(
        {
            "jobs": len(held),
            "overlapped": len(outcome.overlapped),
            "doubled": len(outcome.doubled),
            "taken": len(again),
            "takeover": min(again.values()) if again else None,
            "unfinished": len(outcome.unfinished),
        },
        notes,
    )
