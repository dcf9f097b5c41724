"""The interface of a job system in the comparison, and what most of them share.

A test drives a system only through `System`. An adapter names its packages, its settings, and the
commands of its client and its worker; the programs themselves are in `jobs/`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from . import processes
from .client import Client
from .servers import Postgres, Redis, Server

SOURCES = Path(__file__).resolve().parent.parent
JOBS = SOURCES / "jobs"
NO_LOSS = "no-loss"
DEFAULTS = "defaults"
PROFILES = (NO_LOSS, DEFAULTS)
# The answers of so many calls are held at once.
CHUNK = 10_000


@dataclass
class Place:
    """The folders of one run of one system. The scanner and its log are in `folder`."""

    folder: Path
    scanner: Path
    slots: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def log(self) -> Path:
        return self.folder / "scanner.log"

    def journal(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


class System:
    """One job system with one profile of settings."""

    name: str
    has_cancel = True
    """Whether the system has a call that ends a running job."""
    has_fairness = False
    """Whether the system's own settings separate tenants."""
    has_history = True
    """Whether T9 can fill the store of this system."""
    max_workers = 2
    profiles = PROFILES

    def __init__(self, environments: Path, profile: str) -> None:
        self.environments = environments
        self.profile = profile
        self.place: Place
        self.client: Client
        self.workers: list[subprocess.Popen[bytes]] = []

    # What an adapter says.

    def install(self) -> None:
        raise NotImplementedError

    def versions(self) -> dict[str, str]:
        raise NotImplementedError

    def settings(self) -> list[str]:
        """The settings that differ from the system's defaults, and the servers' modes."""
        raise NotImplementedError

    def start_servers(self) -> None:
        raise NotImplementedError

    def client_command(self) -> list[str]:
        raise NotImplementedError

    def worker_command(self, number: int) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment of client and workers."""
        return {
            **os.environ,
            "COMPARE_PROFILE": self.profile,
            "COMPARE_SLOTS": str(self.place.slots),
            "COMPARE_SCANNER": str(self.place.scanner),
            "COMPARE_RESULTS": str(self.place.results),
            "PYTHONPATH": str(JOBS / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def is_worker_ready(self, number: int) -> bool:
        """Whether a worker takes jobs. Most systems do not say; a test warms them up with jobs."""
        return True

    def count(self) -> int:
        """The number of stored results."""
        raise NotImplementedError

    def results(self, jobs: list[int]) -> Counter[int]:
        """The number of stored results of each of these jobs."""
        raise NotImplementedError

    def servers(self) -> list[Server]:
        raise NotImplementedError

    def restart_broker(self) -> str | None:
        """Kills the broker and starts it again. Returns its name, `None` if there is none."""
        raise NotImplementedError

    def restart_database(self) -> str | None:
        raise NotImplementedError

    def store_finished(self, count: int) -> None:
        """Fills the store with this number of finished jobs."""
        raise NotImplementedError

    # What a test does.

    def start(self, place: Place, workers: int = 1) -> None:
        self.place = place
        self.workers = []
        place.results.mkdir()
        self.start_servers()
        for number in range(min(workers, self.max_workers)):
            self.start_worker(number)
        self.client = Client(self.client_command(), self.environment(), place.folder / "client.log")

    def start_worker(self, number: int) -> None:
        with (self.place.folder / f"worker-{number}.log").open("ab") as log:
            process = subprocess.Popen(
                self.worker_command(number),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.environment(), "COMPARE_WORKER": str(number)},
                cwd=self.place.folder,
                start_new_session=True,
            )
        self.workers[number : number + 1] = [process]
        processes.until(f"worker {number} of {self.name}", lambda: self._is_up(number), 60, 0.01)

    def _is_up(self, number: int) -> bool:
        if self.workers[number].poll() is not None:
            raise RuntimeError(f"a worker of {self.name} ended: see {self.place.folder}/worker-{number}.log")
        return self.is_worker_ready(number)

    def revive(self) -> int:
        """Starts workers that have ended again, as a supervisor does. Returns their number."""
        ended = [number for number, worker in enumerate(self.workers) if worker.poll() is not None]
        for number in ended:
            self.start_worker(number)
        return len(ended)

    def worker_pids(self, number: int) -> list[int]:
        """The processes of a worker that run its code: without scanners, and without helpers whose
        purpose is to survive it."""
        return processes.tree([self.workers[number].pid], without=str(self.place.scanner))

    def all_pids(self, number: int) -> list[int]:
        """The processes of a worker with its helpers, without scanners."""
        return processes.tree([self.workers[number].pid], without=str(self.place.scanner))

    def kill_worker(self, number: int) -> None:
        processes.send(self.worker_pids(number), signal.SIGKILL)
        self.workers[number].wait()

    def own_pids(self) -> list[int]:
        """The processes of the system itself: its workers with their helpers, and its own servers."""
        workers = [pid for number in range(len(self.workers)) for pid in self.all_pids(number)]
        return workers + [pid for server in self.servers() if server.is_own for pid in server.pids()]

    def server_pids(self) -> list[int]:
        return [pid for server in self.servers() if not server.is_own for pid in server.pids()]

    def disk_mb(self) -> float:
        """The size of its store, with the results."""
        return sum(server.disk_mb() for server in self.servers())

    def scanners(self) -> set[int]:
        """The living processes of the scanner."""
        return processes.with_program(str(self.place.scanner))

    def stop(self) -> None:
        """Ends everything, whatever state it is in."""
        if hasattr(self, "client"):
            self.client.stop()
        for number in range(len(self.workers)):
            pids = self.all_pids(number)
            processes.send(pids, signal.SIGCONT)
            processes.end(self.workers[number])
            processes.send([pid for pid in pids if processes.is_alive(pid)], signal.SIGKILL)
        processes.send(self.scanners(), signal.SIGKILL)
        for server in self.servers():
            server.stop()


class QueueSystem(System):
    """A system that keeps its queue in Redis or PostgreSQL, and whose jobs store their results in
    PostgreSQL."""

    on_redis = False
    redis: Redis | None = None
    postgres: Postgres | None = None

    def start_servers(self) -> None:
        for name in ("postgresql", "redis") if self.on_redis else ("postgresql",):
            (self.place.folder / name).mkdir()
        self.postgres = Postgres(self.place.folder / "postgresql")
        self.postgres.prepare()
        self.postgres.start()
        self.postgres.create_results()
        if self.on_redis:
            self.redis = Redis(self.place.folder / "redis", durable=self.profile == NO_LOSS)
            self.redis.start()
        self.prepare()

    def prepare(self) -> None:
        """Creates the system's tables."""

    def environment(self) -> dict[str, str]:
        urls = {"DATABASE_URL": self.postgres.url}
        if self.redis is not None:
            urls["REDIS_URL"] = self.redis.url
        return {**super().environment(), **urls}

    def run(self, *command: str) -> None:
        """Runs a command of the system, such as its migrations."""
        with (self.place.folder / "prepare.log").open("ab") as log:
            subprocess.run(command, check=True, env=self.environment(), stdout=log, stderr=log, cwd=self.place.folder)

    def server_versions(self) -> dict[str, str]:
        versions = {"PostgreSQL": Postgres.version()}
        if self.on_redis:
            versions["Redis"] = Redis.version()
        return versions

    def server_settings(self) -> list[str]:
        """The modes of the servers."""
        lines = ["PostgreSQL: defaults, max_connections = 200"]
        if self.on_redis:
            append = ", appendonly yes (appendfsync everysec)" if self.profile == NO_LOSS else " (snapshots only)"
            lines.append(f"Redis: defaults{append}, maxmemory-policy noeviction")
        return lines

    def count(self) -> int:
        return self.postgres.count()

    def results(self, jobs: list[int]) -> Counter[int]:
        wanted = set(jobs)
        return Counter({job: count for job, count in self.postgres.results().items() if job in wanted})

    def servers(self) -> list[Server]:
        return [server for server in (self.redis, self.postgres) if server is not None]

    def restart_broker(self) -> str | None:
        if self.redis is None:
            return None
        self.redis.kill()
        self.redis.start()
        return "Redis"

    def restart_database(self) -> str | None:
        self.postgres.kill()
        self.postgres.start()
        return "PostgreSQL"

    def store_finished(self, count: int) -> None:
        """Runs empty jobs through the system, and adds as many result rows."""
        self.postgres.sql(
            "insert into result (job, pid, exit_code) select n, 0, 0"
            f" from generate_series(1000000001, 1000000000 + {count}::bigint) as n"
        )
        for begin in range(0, count, CHUNK):
            self.client.submit_many(["noop"] * min(CHUNK, count - begin), in_flight=64)
