"""The servers of the job systems: Redis and PostgreSQL from Debian, each on a free loopback port and
with its own folder. They can be killed, and started again with the same data."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

from . import processes

PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def folder_mb(folder: Path) -> float:
    size = 0
    for entry in folder.rglob("*"):
        try:
            size += entry.lstat().st_blocks * 512
        except FileNotFoundError:
            # A running server removes files.
            continue
    return size / 1e6


class Server:
    """A server process."""

    name: str
    is_own = False
    """Whether the server is a part of the job system itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        return accepts(self.port)

    def environment(self) -> dict[str, str] | None:
        return None

    def user(self) -> str | None:
        """The user of the process, if this program runs as root and the server must not."""
        return None

    def start(self) -> None:
        log = open(self.folder / f"{self.name}.log", "ab")
        user = self.user() if os.geteuid() == 0 else None
        extra = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env=self.environment(),
            start_new_session=True,
            **extra,
        )
        log.close()

        def is_ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start: see {self.folder}/{self.name}.log")
            return self.is_ready()

        processes.until(f"the start of {self.name}", is_ready, PATIENCE_S, 0.02)

    def kill(self) -> None:
        """Kills the server and its processes, as a failing machine does."""
        processes.send(processes.tree([self.process.pid]), signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            processes.end(self.process)

    def pids(self) -> list[int]:
        return processes.tree([self.process.pid])

    def disk_mb(self) -> float:
        return folder_mb(self.folder)


class Redis(Server):
    name = "redis"

    def __init__(self, folder: Path, durable: bool) -> None:
        super().__init__(folder)
        self.durable = durable

    def command(self) -> list[str]:
        # With the file's defaults: snapshots after 3600 s and 1 change, 300 s and 100, 60 s and
        # 10,000. Durable: the append-only file, which is synced each second (its default).
        append = ["--appendonly", "yes"] if self.durable else []
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.folder), "--daemonize", "no", "--maxmemory-policy", "noeviction", *append,
        ]  # fmt: skip

    def is_ready(self) -> bool:
        # While it loads its data it accepts connections and answers with an error.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @staticmethod
    def version() -> str:
        return (
            subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
            .stdout.split()[2]
            .removeprefix("v=")
        )


class Postgres(Server):
    """PostgreSQL with the settings that initdb writes: each commit is on disk before its answer."""

    name = "postgresql"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.data = folder / "data"
        self._query: subprocess.Popen[str] | None = None

    @staticmethod
    def programs() -> Path:
        found = shutil.which("postgres")
        if found is not None:
            return Path(found).resolve().parent
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not versions:
            raise RuntimeError("PostgreSQL is missing: apt-get install postgresql")
        return versions[-1].parent

    @classmethod
    def version(cls) -> str:
        text = subprocess.run(
            [cls.programs() / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        return text.split()[2]

    def user(self) -> str | None:
        return "postgres"

    def prepare(self) -> None:
        """Creates the cluster."""
        owner = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            owner = {"user": "postgres", "group": account.pw_gid, "extra_groups": []}
        command = [
            self.programs() / "initdb",
            "-D",
            self.data,
            "-U",
            "compare",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **owner)

    def command(self) -> list[str]:
        # 100 connections are the default, and too few for pools of two workers and their clients.
        return [
            str(self.programs() / "postgres"), "-D", str(self.data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        command = [self.programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    @property
    def url(self) -> str:
        return f"postgresql://compare@127.0.0.1:{self.port}/postgres"

    def sql(self, statement: str) -> list[list[str]]:
        """Runs statements. Returns the rows of the last one, as texts."""
        psql = shutil.which("psql") or str(self.programs() / "psql")
        command = [psql, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", statement]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [line.split("\t") for line in text.splitlines()]

    def create_results(self) -> None:
        # Without a unique key, so that a result that is stored twice is seen.
        self.sql(
            "create table result (id bigserial primary key, job bigint not null, pid int not null,"
            " exit_code int not null, finished timestamptz not null default clock_timestamp());"
            "create index on result (job)"
        )

    def results(self) -> Counter[int]:
        """Returns the number of result rows of each job."""
        return Counter(
            {int(job): int(count) for job, count in self.sql("select job, count(*) from result group by job")}
        )

    def count(self) -> int:
        """Returns the number of result rows, over a connection that stays open."""
        if self._query is None or self._query.poll() is not None:
            psql = shutil.which("psql") or str(self.programs() / "psql")
            self._query = subprocess.Popen(
                [psql, "-X", "-q", "-A", "-t", "-d", self.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        try:
            self._query.stdin.write("select count(*) from result;\n")
            self._query.stdin.flush()
            return int(self._query.stdout.readline())
        except (BrokenPipeError, ValueError):
            # The server was killed. The next call connects again.
            self._query.kill()
            self._query.wait()
            return 0

    def stop(self) -> None:
        if self._query is not None:
            self._query.kill()
            self._query.wait()
        if self.process is not None and self.process.poll() is None:
            # Fast shutdown: SIGTERM would wait for the clients.
            self.process.send_signal(signal.SIGINT)
        super().stop()


class Surreal(Server):
    """The database server for Kastrel's processes on several machines."""

    name = "surrealdb"

    def __init__(self, folder: Path, program: Path) -> None:
        super().__init__(folder)
        self.program = program

    def command(self) -> list[str]:
        return [
            str(self.program), "start", "--no-banner", "--log", "warn", "--bind", f"127.0.0.1:{self.port}",
            "--user", "root", "--pass", "compare", f"rocksdb://{self.folder}/data?sync=every",
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"ws://root:compare@127.0.0.1:{self.port}/kastrel/kastrel"

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
