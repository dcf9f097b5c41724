"""Summaries of samples: the median with its range, and the 99th percentile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from collections.abc import Iterable


@dataclass(frozen=True)
class Summary:
    """What a table shows of samples."""

    count: int
    median: float
    p99: float
    least: float
    most: float


def percentile(samples: Iterable[float], share: float) -> float:
    """Returns the smallest sample that at least this share of the samples does not exceed."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("a percentile needs a sample")
    if not 0 < share <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {share}")
    return ordered[math.ceil(share * len(ordered)) - 1]


def median(samples: Iterable[float]) -> float:
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("a median needs a sample")
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def summarize(samples: Iterable[float]) -> Summary | None:
    """Returns the summary, or `None` without samples."""
    ordered = sorted(samples)
    if not ordered:
        return None
    return Summary(len(ordered), median(ordered), percentile(ordered, 0.99), ordered[0], ordered[-1])
