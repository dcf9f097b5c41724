"""The soak test: `python3 -m compare.soak` keeps one server under load for an hour, with faults.

Scans are submitted at a steady rate, each with an idempotency key, and submitted again with it until
they are accepted. In the first part the server and its scanners are killed, stopped and frozen at
random moments. The last part has no faults: there the memory and the descriptors of one process are
sampled. At the end each accepted scan must have exactly one row in a final state, no scanner may run,
and no two scanners of one scan may have lived at the same time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import journal, processes
from .runner import build_scanner
from .servers import free_port
from .system import SOURCES

ROOT = SOURCES.parent.parent
SUBMITTERS = 4
SAMPLE_EVERY_S = 5.0
# A server that is frozen longer than its lease must give its scans up.
FREEZE_S = 20.0
# What the memory may grow by during the part without faults, and the descriptors.
MOST_GROWTH = 0.10
MOST_GROWTH_MB = 10.0
MOST_DESCRIPTORS = 16


@dataclass(frozen=True)
class Sample:
    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    ended: int


@dataclass
class Counts:
    """What the server says at the end, and what the test knows."""

    accepted: int = 0
    distinct: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    overlapped: int = 0
    left_running: int = 0


def growth(samples: list[Sample]) -> tuple[float, float]:
    """Returns the memory at the begin and at the end of the samples in MB, each as the median of a
    fifth. The very first fifth is left out: caches fill."""
    fifth = max(1, len(samples) // 5)
    values = [sample.rss_mb for sample in samples]
    return median(values[fifth : 2 * fifth] or values), median(values[-fifth:])


def faults_of(counts: Counts, quiet: list[Sample]) -> list[str]:
    """Returns what is wrong; empty if the test passed."""
    wrong = []
    if counts.distinct != counts.accepted:
        wrong.append(f"{counts.accepted} accepted submissions have {counts.distinct} numbers")
    open_rows = counts.rows.get("pending", 0) + counts.rows.get("running", 0)
    if open_rows:
        wrong.append(f"{open_rows} scans did not end")
    total = sum(counts.rows.values())
    if total != counts.accepted:
        wrong.append(f"{counts.accepted} scans were accepted, and the store has {total}")
    if counts.overlapped:
        wrong.append(f"{counts.overlapped} scans had two scanners at once")
    if counts.left_running:
        wrong.append(f"{counts.left_running} scanners still run")
    if len(quiet) < 10:
        wrong.append("the part without faults was too short for a judgement about memory")
        return wrong
    begin, end = growth(quiet)
    if end > begin * (1 + MOST_GROWTH) + MOST_GROWTH_MB:
        wrong.append(f"the memory grew from {begin:.0f} MB to {end:.0f} MB")
    fifth = len(quiet) // 5
    before = median(sample.descriptors for sample in quiet[fifth : 2 * fifth])
    after = median(sample.descriptors for sample in quiet[-fifth:])
    if after > before + MOST_DESCRIPTORS:
        wrong.append(f"the descriptors grew from {before:.0f} to {after:.0f}")
    return wrong


class Server:
    """The server under test, in its own folder."""

    def __init__(self, program: Path, folder: Path, scanner: Path, slots: int) -> None:
        self.port = free_port()
        self.folder = folder
        self._command = [program, "serve", "--listen", f"127.0.0.1:{self.port}", "--concurrency", str(slots)]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KASTREL_DATA_DIR": str(folder / "data"),
            "KASTREL_ALLOW_PRIVATE_TARGETS": "true",
            "KASTREL_LOG__LEVEL": "warn",
            "KAST_CLI_PATH": str(scanner),
        }
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it, and returns the seconds until it is ready."""
        begin = time.monotonic()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        processes.until("the server", lambda: self.get("/readyz") is not None, 120, 0.05)
        return time.monotonic() - begin

    def stop(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(60)

    def request(self, method: str, path: str, body: dict | None = None, key: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> bytes | None:
        try:
            status, body = self.request("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        return body if status == 200 else None

    def scans(self) -> dict[str, int] | None:
        body = self.get("/api/stats")
        if body is None:
            return None
        counts = json.loads(body)["scans"]
        return {state: counts[state] for state in ("pending", "running", "completed", "failed", "cancelled")}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )

    def sample(self, at_s: float) -> Sample | None:
        pid = self.process.pid
        scans = self.scans()
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return None
        if scans is None:
            return None
        ended = scans["completed"] + scans["failed"] + scans["cancelled"]
        return Sample(at_s, int(status["VmRSS"].split()[0]) / 1024, descriptors, int(status["Threads"]), ended)


class Load:
    """Submits scans at a rate, until it is stopped. Each is submitted until it is accepted."""

    def __init__(self, server: Server, rate: float) -> None:
        self._server = server
        self._every_s = 1 / rate
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._next = 0
        self._end = threading.Event()
        self.numbers: dict[int, int] = {}
        self.retries = 0
        self.refusals: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(SUBMITTERS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            with self._lock:
                job = self._next
                self._next += 1
            self._end.wait(max(0.0, self._begin + job * self._every_s - time.monotonic()))
            if self._end.is_set():
                return
            self._submit(job)

    def _submit(self, job: int) -> None:
        # One in ten lives long enough to be killed while it runs.
        target = f"{200 if job % 10 == 0 else 0}ms.host-{job % 200}.test"
        while True:
            try:
                status, body = self._server.request("POST", "/api/scans", {"target": target}, f"soak-{job}")
            except (OSError, http.client.HTTPException):
                status, body = 0, b""
            if status in (200, 201):
                with self._lock:
                    self.numbers[job] = json.loads(body)["scan_id"]
                return
            if 400 <= status < 500 and status not in (408, 429):
                with self._lock:
                    self.refusals.append(f"{status}: {body.decode(errors='replace')[:200]}")
                return
            with self._lock:
                self.retries += 1
            time.sleep(0.2)

    def end(self) -> None:
        """Submits no new scans."""
        self._end.set()

    def stop(self) -> None:
        """Submits no new scans, and waits until those that were begun are accepted."""
        self.end()
        for thread in self._threads:
            thread.join()


class Faults:
    """Faults at random moments."""

    def __init__(self, server: Server, scanner: Path, chance: random.Random) -> None:
        self._server = server
        self._scanner = scanner
        self._chance = chance
        self.done: dict[str, int] = {}
        self.starts_s: list[float] = []

    def one(self) -> None:
        name = self._chance.choice(["kill", "kill", "stop", "freeze", "scanner", "scanner"])
        self.done[name] = self.done.get(name, 0) + 1
        match name:
            case "kill":
                self._server.stop(signal.SIGKILL)
                self.starts_s.append(self._server.start())
            case "stop":
                self._server.stop(signal.SIGTERM)
                self.starts_s.append(self._server.start())
            case "freeze":
                self._server.process.send_signal(signal.SIGSTOP)
                time.sleep(FREEZE_S)
                self._server.process.send_signal(signal.SIGCONT)
                if self._server.process.poll() is not None:
                    self.starts_s.append(self._server.start())
            case "scanner":
                running = processes.with_program(str(self._scanner))
                processes.send(self._chance.sample(sorted(running), min(1, len(running))), signal.SIGKILL)


def soak(options: argparse.Namespace, folder: Path) -> list[str]:
    scanner = build_scanner(folder)
    (folder / "locks").mkdir()
    server = Server(options.kastrel.resolve(), folder, scanner, options.slots)
    chance = random.Random(options.seed)
    faults = Faults(server, scanner, chance)
    total_s, faults_s = options.minutes * 60, options.minutes * 60 * 0.5
    print(f"first start: {server.start():.1f} s", flush=True)
    quiet: list[Sample] = []
    load = Load(server, options.rate)
    try:
        begin = time.monotonic()
        next_fault, next_sample, next_line = options.fault_every, 0.0, 0.0
        while (now := time.monotonic() - begin) < total_s:
            if server.process.poll() is not None:
                # A frozen server whose lease has passed ends by itself, and its service manager starts it.
                faults.done["own end"] = faults.done.get("own end", 0) + 1
                faults.starts_s.append(server.start())
            if now < faults_s and now >= next_fault:
                next_fault = now + options.fault_every * chance.uniform(0.5, 1.5)
                faults.one()
            if now >= next_sample:
                next_sample = now + SAMPLE_EVERY_S
                sample = server.sample(now)
                if sample is not None and now >= faults_s:
                    quiet.append(sample)
                if sample is not None and now >= next_line:
                    next_line = now + 60
                    print(
                        f"{now / 60:5.1f} min: {len(load.numbers)} accepted, {sample.ended} ended, "
                        f"{sample.rss_mb:.0f} MB, {sample.descriptors} descriptors, {sample.threads} threads",
                        flush=True,
                    )
            time.sleep(0.2)
        load.stop()
        processes.until("the end of all scans", lambda: is_idle(server.scans()), options.drain_limit, 0.5)
        counts = Counts(accepted=len(load.numbers), distinct=len(set(load.numbers.values())))
        counts.left_running = len(processes.with_program(str(scanner)))
        # What was acknowledged must be there after another restart.
        server.stop(signal.SIGTERM)
        server.start()
        counts.rows = server.scans() or {}
        server.stop(signal.SIGTERM)
    finally:
        load.end()
        processes.end(server.process)
    events = journal.parse((folder / "scanner.log").read_text())
    counts.overlapped = len({event.job for event in events if event.kind == "overlap"})
    wrong = faults_of(counts, quiet) + [f"a submission was refused: {text}" for text in load.refusals[:3]]
    doctor = server.command("doctor")
    if doctor.returncode != 0:
        wrong.append(f"kastrel doctor ended with {doctor.returncode}: {doctor.stdout[-2000:]}{doctor.stderr[-500:]}")
    report(counts, quiet, load, faults, total_s)
    return wrong


def is_idle(scans: dict[str, int] | None) -> bool:
    return scans is not None and scans["pending"] + scans["running"] == 0


def report(counts: Counts, quiet: list[Sample], load: Load, faults: Faults, total_s: float) -> None:
    print(f"accepted: {counts.accepted} scans in {total_s / 60:.0f} min, {load.retries} submissions repeated")
    print(f"faults: {', '.join(f'{name} {count}' for name, count in sorted(faults.done.items())) or 'none'}")
    if faults.starts_s:
        print(f"restart until ready: median {median(faults.starts_s):.1f} s, longest {max(faults.starts_s):.1f} s")
    print(f"rows: {', '.join(f'{state} {count}' for state, count in counts.rows.items())}")
    print(f"scans with two scanners at once: {counts.overlapped}; scanners left: {counts.left_running}")
    if quiet:
        begin, end = growth(quiet)
        scans = quiet[-1].ended - quiet[0].ended
        print(f"without faults: {scans} scans, memory {begin:.0f} to {end:.0f} MB, ", end="")
        print(f"{quiet[0].descriptors} to {quiet[-1].descriptors} descriptors")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compare.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long scans are submitted (default: 60)")
    parser.add_argument("--rate", type=float, default=50, help="scans a second (default: 50)")
    parser.add_argument("--fault-every", type=float, default=60, help="seconds between faults, on average")
    parser.add_argument("--slots", type=int, default=4, help="concurrent scans (default: 4)")
    parser.add_argument("--drain-limit", type=float, default=900, help="seconds for the last scans to end")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument("--kastrel", type=Path, default=ROOT / "target/release/kastrel", help="the program under test")
    parser.add_argument("--data", type=Path, default=Path("/var/tmp"), help="parent of the data folder, on a disk")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="kastrel-soak-", dir=options.data))
    try:
        wrong = soak(options, folder)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for text in wrong:
        print(f"FAILED: {text}")
    print("passed" if not wrong else f"{len(wrong)} faults")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
