"""The job of the Python systems: spawn the scanner in a process group of its own, wait, store the
result."""

import os
import subprocess
import threading
import time

import psycopg

SCANNER = os.environ["COMPARE_SCANNER"]
RESULTS = os.environ["COMPARE_RESULTS"]
INSERT = "insert into result (job, pid, exit_code) values (%s, %s, %s)"
# How long, and after which pause, a job tries again to store its result.
STORE_LIMIT_S = 60
STORE_PAUSE_S = 0.2

_local = threading.local()


def command(job: int, target: str) -> list[str]:
    out = f"{RESULTS}/scan-{job}/attempt-{os.getpid()}-{time.monotonic_ns()}"
    return [SCANNER, "-t", target, "-m", "passive", "-o", out]


def log(job: int):
    return open(f"{RESULTS}/scan-{job}.log", "ab")


def store(job: int, pid: int, code: int) -> None:
    """Commits the result over the connection of this thread. The scan is not thrown away because the
    database is away for a moment."""
    give_up = time.monotonic() + STORE_LIMIT_S
    while True:
        try:
            connection = getattr(_local, "connection", None)
            # A fork must not use the connection of its parent.
            if connection is None or connection.closed or _local.owner != os.getpid():
                connection = _local.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
                _local.owner = os.getpid()
            connection.execute(INSERT, (job, pid, code))
            return
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(STORE_PAUSE_S)


def run(job: int, target: str) -> None:
    if target == "noop":
        return
    with log(job) as output:
        process = subprocess.Popen(
            command(job, target), stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        code = process.wait()
    store(job, process.pid, code)
