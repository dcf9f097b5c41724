"""Reads what the fake scanner recorded, and decides what was lost, doubled or left over.

Everything here is a pure function of the text of `scanner.log`; `scanner.c` describes its lines.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from collections.abc import Iterable

KINDS = ("start", "overlap", "child", "finish")


@dataclass(frozen=True)
class Event:
    kind: str
    job: int
    pid: int
    at_ns: int


@dataclass(frozen=True)
class Run:
    """One process of the scanner. `finished_ns` is `None` if it was killed, or still runs."""

    job: int
    pid: int
    started_ns: int
    finished_ns: int | None
    overlapped: bool


@dataclass(frozen=True)
class Outcome:
    """The jobs that did not run exactly once."""

    unfinished: frozenset[int]
    """Accepted jobs of which no process ran to its end, or whose result row is missing."""
    doubled: frozenset[int]
    """Jobs of which more than one process ran to its end."""
    overlapped: frozenset[int]
    """Jobs of which two processes lived at the same time."""
    repeated: frozenset[int]
    """Jobs with more than one process, such as those that a kill interrupted."""
    extra_rows: int
    """Result rows beyond one for each job."""


def parse(text: str) -> list[Event]:
    """Reads the lines. An unfinished last line is left out; any other odd line is an error."""
    events = []
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        parts = line.split(" ")
        if len(parts) != 4 or parts[0] not in KINDS:
            raise ValueError(f"line {number} of the scanner's log: {line!r}")
        events.append(Event(parts[0], int(parts[1]), int(parts[2]), int(parts[3])))
    return events


def runs(events: Iterable[Event]) -> list[Run]:
    """Pairs each start with the finish of the same process. A process id may be used again."""
    found: list[Run] = []
    open_runs: dict[int, int] = {}
    for event in events:
        if event.kind in ("start", "overlap"):
            open_runs[event.pid] = len(found)
            found.append(Run(event.job, event.pid, event.at_ns, None, event.kind == "overlap"))
        elif event.kind == "finish":
            at = open_runs.pop(event.pid, None)
            if at is None or found[at].job != event.job:
                raise ValueError(f"process {event.pid} of job {event.job} finished without a start")
            run = found[at]
            found[at] = Run(run.job, run.pid, run.started_ns, event.at_ns, run.overlapped)
    return found


def outcome(events: Iterable[Event], accepted: Iterable[int], rows: Counter[int]) -> Outcome:
    """Judges the accepted jobs by the scanner's log and by their result rows."""
    finished: Counter[int] = Counter()
    started: Counter[int] = Counter()
    overlapped = set()
    for run in runs(events):
        started[run.job] += 1
        if run.finished_ns is not None:
            finished[run.job] += 1
        if run.overlapped:
            overlapped.add(run.job)
    wanted = set(accepted)
    return Outcome(
        unfinished=frozenset(job for job in wanted if not finished[job] or not rows[job]),
        doubled=frozenset(job for job in wanted if finished[job] > 1),
        overlapped=frozenset(overlapped & wanted),
        repeated=frozenset(job for job in wanted if started[job] > 1),
        extra_rows=sum(rows[job] - 1 for job in wanted if rows[job] > 1),
    )


def interrupted(events: Iterable[Event], killed_ns: int) -> dict[int, int]:
    """Returns the jobs that ran at the time of a kill, with the process of each."""
    return {
        run.job: run.pid
        for run in runs(events)
        if run.started_ns < killed_ns and (run.finished_ns is None or run.finished_ns > killed_ns)
    }


def outlived(events: Iterable[Event], running: dict[int, int], killed_ns: int) -> set[int]:
    """Returns those of the processes that ran at a kill which ran to their end after it."""
    return {
        run.pid
        for run in runs(events)
        if running.get(run.job) == run.pid
        and run.started_ns < killed_ns
        and run.finished_ns is not None
        and run.finished_ns > killed_ns
    }


def recoveries(events: Iterable[Event], jobs: Iterable[int], killed_ns: int) -> dict[int, float]:
    """Returns the seconds from a kill to the next start of each of these jobs that started again."""
    wanted = set(jobs)
    first: dict[int, float] = {}
    for run in runs(events):
        if run.job in wanted and run.started_ns > killed_ns and run.job not in first:
            first[run.job] = (run.started_ns - killed_ns) / 1e9
    return first


def first_starts(events: Iterable[Event]) -> dict[int, int]:
    """Returns the time of the first start of each job."""
    first: dict[int, int] = {}
    for event in events:
        if event.kind in ("start", "overlap"):
            first.setdefault(event.job, event.at_ns)
    return first


def processes_by_job(events: Iterable[Event]) -> dict[int, set[int]]:
    """Returns the processes of each job, with its grandchildren."""
    found: dict[int, set[int]] = defaultdict(set)
    for event in events:
        if event.kind != "finish":
            found[event.job].add(event.pid)
    return dict(found)
