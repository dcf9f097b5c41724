"""Kastrel: one process with everything in it, and several processes on Redis and SurrealDB."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from .. import processes
from ..servers import Redis, Server, Surreal, accepts, folder_mb, free_port
from ..system import NO_LOSS, System


class KastrelProcess:
    """The HTTP API of a process, for what a test reads."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> dict | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return json.loads(body) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return accepts(self.port) and self.get("/readyz") is not None and self.get("/api/plugins") is not None


class Kastrel(System):
    name = "kastrel"
    max_workers = 1
    # Its defaults lose nothing.
    profiles = (NO_LOSS,)
    program: Path
    """The program under test; the command line names it."""

    def install(self) -> None:
        if not self.program.exists():
            raise RuntimeError(f"{self.program} is missing: build it with `cargo build --release --bin kastrel`")

    def versions(self) -> dict[str, str]:
        text = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        digest = hashlib.sha256(self.program.read_bytes()).hexdigest()
        return {"kastrel": text.split()[-1], "its program (SHA-256)": digest[:12]}

    def settings(self) -> list[str]:
        return [
            "kastrel serve --concurrency = slots; defaults: embedded database, each commit synced",
            "KASTREL_ALLOW_PRIVATE_TARGETS=true, KASTREL_LOG__LEVEL=warn",
        ]

    def start_servers(self) -> None:
        self.port = free_port()
        self.api = KastrelProcess(self.port)

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "KASTREL_DATA_DIR": str(self.place.folder / "data"),
            "KASTREL_ALLOW_PRIVATE_TARGETS": "true",
            "KASTREL_LOG__LEVEL": "warn",
            "KAST_CLI_PATH": str(self.place.scanner),
            "COMPARE_PORT": str(self.port),
        }

    def client_command(self) -> list[str]:
        return [sys.executable, "-m", "kastrel_client"]

    def worker_command(self, number: int) -> list[str]:
        return [
            str(self.program),
            "serve",
            "--listen",
            f"127.0.0.1:{self.port}",
            "--concurrency",
            str(self.place.slots),
        ]

    def is_worker_ready(self, number: int) -> bool:
        return self.api.is_ready()

    def worker_pids(self, number: int) -> list[int]:
        # Its watchdog and the keepers of its scanners are there to outlive it.
        pid = self.workers[number].pid
        return [pid] if processes.is_alive(pid) else []

    def count(self) -> int:
        stats = self.api.get("/api/stats")
        return 0 if stats is None else stats["scans"]["completed"]

    def results(self, jobs: list[int]) -> Counter[int]:
        statuses = {job: self.api.get(f"/api/scans/{job}/status") for job in jobs}
        return Counter(job for job, status in statuses.items() if status and status["status"] == "completed")

    def servers(self) -> list[Server]:
        return []

    def restart_broker(self) -> str | None:
        return None

    def disk_mb(self) -> float:
        return folder_mb(self.place.folder / "data")

    def restart_database(self) -> str | None:
        self.kill_worker(0)
        self.start_worker(0)
        return "the process with its database"

    def command(self, *arguments: str) -> None:
        with (self.place.folder / "commands.log").open("ab") as log:
            subprocess.run([self.program, *arguments], check=True, env=self.environment(), stdout=log, stderr=log)

    def store_finished(self, count: int) -> None:
        """Restores a backup that repeats one finished scan. The database writes each of its rows as
        for a scan that ran."""
        scan = self.client.submit("0ms.test")
        processes.until("the first scan", lambda: self.results([scan.job])[scan.job], 60)
        pattern, backup = self.place.folder / "pattern.backup", self.place.folder / "history.backup"
        self.command("backup", str(pattern))
        processes.end(self.workers[0])
        repeat(pattern, count, backup)
        os.rename(self.place.folder / "data", self.place.folder / "data-before")
        self.command("restore", str(backup))
        backup.unlink()
        self.start_worker(0)


def repeat(pattern: Path, count: int, to: Path) -> None:
    """Writes a backup with `count` scans like the first one of another backup, for 200 targets."""
    with pattern.open() as lines:
        header = json.loads(next(lines))
        scan, results = None, []
        for line in map(json.loads, lines):
            if "scan" in line:
                if scan is not None:
                    break
                scan = line["scan"]
            elif "plugin_result" in line and line["plugin_result"]["scan"] == scan["id"]:
                results.append(line["plugin_result"])
    header["last_scan"] = count
    digest = hashlib.sha256()
    with to.open("w") as out:

        def put(value: dict) -> None:
            line = json.dumps(value) + "\n"
            digest.update(line.encode())
            out.write(line)

        put(header)
        for number in range(1, count + 1):
            scan["id"] = number
            scan["request"]["target"] = f"host-{number % 200}.test"
            put({"scan": scan})
            for result in results:
                result["scan"] = number
                put({"plugin_result": result})
        end = {"scans": count, "sha256": digest.hexdigest()}
        if results:
            end["results"] = count * len(results)
        out.write(json.dumps({"end": end}) + "\n")


class Web(Server):
    """The process with the dashboard and the API, without a worker."""

    name = "kastrel-web"
    is_own = True

    def __init__(self, folder: Path, system: KastrelServers) -> None:
        super().__init__(folder)
        self.system = system

    def command(self) -> list[str]:
        return [str(self.system.program), "serve", "--no-worker", "--listen", f"127.0.0.1:{self.port}"]

    def environment(self) -> dict[str, str]:
        return self.system.environment()

    def is_ready(self) -> bool:
        return accepts(self.port)


class KastrelServers(Kastrel):
    name = "kastrel-servers"
    max_workers = 2
    # A restore of 1,000,000 rows over the network takes hours.
    has_history = False
    database_program: Path

    def install(self) -> None:
        super().install()
        if not self.database_program.exists():
            raise RuntimeError(f"{self.database_program} is missing: build the example surreal-server")

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "Redis": Redis.version()}

    def settings(self) -> list[str]:
        return [
            "kastrel serve --no-worker, kastrel worker --concurrency = slots; defaults",
            "Redis: appendonly yes (appendfsync everysec); SurrealDB on RocksDB, sync=every",
            "KASTREL_ALLOW_PRIVATE_TARGETS=true, KASTREL_LOG__LEVEL=warn",
        ]

    def start_servers(self) -> None:
        for name in ("redis", "surrealdb", "web"):
            (self.place.folder / name).mkdir()
        self.redis = Redis(self.place.folder / "redis", durable=self.profile == NO_LOSS)
        self.redis.start()
        self.database = Surreal(self.place.folder / "surrealdb", self.database_program)
        self.database.start()
        self.web = Web(self.place.folder / "web", self)
        self.port = self.web.port
        self.api = KastrelProcess(self.port)
        self.web.start()

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "KASTREL_DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "KAST_RESULTS_DIR": str(self.place.results),
        }

    def worker_command(self, number: int) -> list[str]:
        return [
            "env", f"KASTREL_DATA_DIR={self.place.folder}/worker-{number}", str(self.program),
            "worker", "--listen", "127.0.0.1:0", "--concurrency", str(self.place.slots),
        ]  # fmt: skip

    def is_worker_ready(self, number: int) -> bool:
        nodes = self.api.get("/api/nodes")
        return self.api.is_ready() and nodes is not None and len(nodes["nodes"]) > number

    def servers(self) -> list[Server]:
        names = ("web", "database", "redis")
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def disk_mb(self) -> float:
        return sum(server.disk_mb() for server in self.servers())

    def restart_broker(self) -> str | None:
        self.redis.kill()
        self.redis.start()
        return "Redis"

    def restart_database(self) -> str | None:
        self.database.kill()
        self.database.start()
        return "SurrealDB"
