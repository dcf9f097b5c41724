"""Evaluates a scanner's log of a system that was driven by hand: `python3 -m compare.by_hand LOG CALLS`.

CALLS has a line `JOB NS` for each call, with the monotonic clock.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from . import journal
from .statistics import summarize


def calls(text: str) -> dict[int, int]:
    """Reads the calls. A job is called once."""
    found: dict[int, int] = {}
    for line in text.splitlines():
        job, at = map(int, line.split())
        if job in found:
            raise ValueError(f"job {job} was called twice")
        found[job] = at
    return found


def evaluate(log: str, called: dict[int, int]) -> str:
    events = journal.parse(log)
    began = journal.first_starts(events)
    latencies = summarize((began[job] - at) / 1e6 for job, at in called.items() if job in began)
    # Its rows are not known: each job counts as stored.
    outcome = journal.outcome(events, called, Counter(dict.fromkeys(called, 1)))
    lines = [
        f"{len(called)} calls, {len(outcome.unfinished)} never finished, {len(outcome.doubled)} ran to the end twice"
    ]
    if latencies is not None:
        lines.append(
            f"call to first instruction: median {latencies.median:.1f} ms, p99 {latencies.p99:.1f} ms,"
            f" {latencies.least:.1f} to {latencies.most:.1f} ms"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python3 -m compare.by_hand LOG CALLS")
    print(evaluate(Path(sys.argv[1]).read_text(), calls(Path(sys.argv[2]).read_text())))
