"""The client of a job system: a process in the system's own language, with an open connection.

It reads requests as lines of JSON and writes an answer for each:

    {"seq": 1, "op": "submit", "job": 7, "target": "0ms.test", "tenant": "a"}
    {"seq": 1, "job": 7, "called": NS, "answered": NS}

`called` and `answered` are CLOCK_MONOTONIC before and after the call of the system's library, so the
way between this program and the client is in no number. A call that fails is answered with `error`.
The other operation is `cancel`, with a job.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from collections.abc import Iterable

ANSWER_LIMIT_S = 120


class Refused(Exception):
    """The system did not accept a call."""


@dataclass(frozen=True)
class Submission:
    job: int
    called_ns: int
    answered_ns: int


class Client:
    """A running client. `prepare` jobs have ids from this side; Kastrel gives its own."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                start_new_session=True,
            )
        self._log = log
        self._lock = threading.Lock()
        self._seq = 0
        self._job = 0
        self._open: dict[int, Future[dict]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = self._open.pop(answer["seq"])
            future.set_result(answer)
        with self._lock:
            for future in self._open.values():
                future.set_exception(RuntimeError(f"the client ended: see {self._log}"))
            self._open.clear()

    def _ask(self, request: dict) -> Future[dict]:
        future: Future[dict] = Future()
        with self._lock:
            self._seq += 1
            request["seq"] = self._seq
            self._open[self._seq] = future
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return future

    def _submit(self, target: str, tenant: str) -> Future[dict]:
        with self._lock:
            self._job += 1
            job = self._job
        return self._ask({"op": "submit", "job": job, "target": target, "tenant": tenant})

    def submit(self, target: str, tenant: str = "a") -> Submission:
        return submission(self._submit(target, tenant).result(ANSWER_LIMIT_S))

    def submit_many(self, targets: Iterable[str], in_flight: int, tenant: str = "a") -> list[Submission]:
        """Submits one job after the other, with this number of calls in flight."""
        free = threading.Semaphore(in_flight)
        futures = []
        for target in targets:
            free.acquire()
            future = self._submit(target, tenant)
            future.add_done_callback(lambda _: free.release())
            futures.append(future)
        return [submission(future.result(ANSWER_LIMIT_S)) for future in futures]

    def cancel(self, job: int) -> None:
        answer = self._ask({"op": "cancel", "job": job}).result(ANSWER_LIMIT_S)
        if "error" in answer:
            raise Refused(answer["error"])

    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def submission(answer: dict) -> Submission:
    if "error" in answer:
        raise Refused(answer["error"])
    return Submission(answer["job"], answer["called"], answer["answered"])
