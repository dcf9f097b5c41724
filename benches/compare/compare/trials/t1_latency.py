"""T1: single jobs, one after the other, on an idle system."""

from ..statistics import median, percentile
from ..system import System
from ..trial import Column, Result, Sizes, start_latencies, warm_up

NAME = "T1"
TITLE = "Start latency, in milliseconds: from the call to the first instruction of the scanner"
COLUMNS = [
    Column("median", "median", 1),
    Column("p99", "p99", 1),
    Column("answer", "call to answer, median", 1),
]
WORKERS = 1
LOCKS = False


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    starts, answers = start_latencies(system, sizes.singles)
    return Result({"median": median(starts), "p99": percentile(starts, 0.99), "answer": median(answers)})
