"""What the tests share: their sizes, their results, and the waits for a system."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import journal, processes
from .journal import Event
from .system import System

INSTANT = "0ms.test"
WARM_UP = 12


@dataclass(frozen=True)
class Sizes:
    """How large the tests are. The command line can make them smaller."""

    singles: int = 200
    burst: int = 3000
    in_flight: int = 8
    limit_s: float = 600
    kills: int = 10
    kill_limit_s: float = 180
    freeze_s: float = 90
    load_s: float = 30
    cancels: int = 5
    cancel_limit_s: float = 60
    idle_s: float = 60
    history: int = 100_000
    noise: int = 400
    seed: int = 1


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    digits: int = 0


@dataclass
class Result:
    """The values of one round, by the key of their column. `None`: there is no such value."""

    values: dict[str, float | None]
    notes: list[str] = field(default_factory=list)


class Tail:
    """The scanner's log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self._offset = 0
        self._finished: set[int] = set()

    def read(self) -> list[Event]:
        if self.path.exists() and self.path.stat().st_size > self._offset:
            with self.path.open("rb") as log:
                log.seek(self._offset)
                fresh = log.read()
            fresh = fresh[: fresh.rfind(b"\n") + 1]
            self._offset += len(fresh)
            events = journal.parse(fresh.decode())
            self.events.extend(events)
            self._finished.update(event.job for event in events if event.kind == "finish")
        return self.events

    def is_finished(self, job: int) -> bool:
        """Whether a process of the job ran to its end."""
        self.read()
        return job in self._finished

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.read())

    def wait(self, what: str, kind: str, count: int, limit_s: float) -> None:
        processes.until(what, lambda: self.count(kind) >= count, limit_s, 0.001)


def warm_up(system: System) -> None:
    """Runs jobs until the system works, and waits until it has stored their results."""
    before = system.count()
    for _ in range(WARM_UP):
        system.client.submit(INSTANT)
    stored(system, before + WARM_UP, 120)


def stored(system: System, count: int, limit_s: float, every_s: float = 0.01) -> None:
    processes.until(f"{count} results of {system.name}", lambda: system.count() >= count, limit_s, every_s)


def start_latencies(system: System, count: int) -> tuple[list[float], list[float]]:
    """Submits jobs one after the other. Returns the milliseconds from each call to the first
    instruction of the scanner, and to the answer."""
    tail = Tail(system.place.log)
    rows = system.count()
    starts, answers = [], []
    submissions = []
    for number in range(1, count + 1):
        submission = system.client.submit(INSTANT)
        submissions.append(submission)
        # Looks at a file alone while the job starts: a query would disturb it.
        processes.until("a single job", lambda job=submission.job: tail.is_finished(job), 120, 0.001)
        stored(system, rows + number, 60, 0.002)
    began = journal.first_starts(tail.events)
    for submission in submissions:
        starts.append((began[submission.job] - submission.called_ns) / 1e6)
        answers.append((submission.answered_ns - submission.called_ns) / 1e6)
    return starts, answers


def settle(system: System, jobs: list[int], limit_s: float, job_s: float) -> tuple[float, int]:
    """Waits until each of the jobs has a result, and starts ended workers again meanwhile. Returns the
    seconds, also if the limit was reached, and the number of workers that had ended.

    Then waits for the end of scanners that still run, for at most the time of a job: a second process
    of a job shows only then whether it runs to its end."""
    begin = time.monotonic()
    revived = 0
    open_jobs = set(jobs)
    while open_jobs and time.monotonic() - begin < limit_s:
        revived += system.revive()
        open_jobs -= set(system.results(sorted(open_jobs)))
        if open_jobs:
            time.sleep(0.1)
    took = time.monotonic() - begin
    with contextlib.suppress(processes.TimedOut):
        processes.until("the end of all scanners", lambda: not system.scanners(), job_s + 1, 0.05)
    return took, revived
