"""apalis, on PostgreSQL."""

import tomllib

from ..environments import Cargo
from ..system import JOBS, NO_LOSS, QueueSystem

SOURCE = JOBS / "apalis"


class Apalis(QueueSystem):
    name = "apalis"
    has_cancel = False

    @property
    def cargo(self) -> Cargo:
        return Cargo(self.environments / "apalis")

    def install(self) -> None:
        self.cargo.install(SOURCE)

    def versions(self) -> dict[str, str]:
        packages = tomllib.loads((SOURCE / "Cargo.lock").read_text())["package"]
        wanted = ("apalis", "apalis-postgres", "sqlx", "tokio")
        found = {package["name"]: package["version"] for package in packages if package["name"] in wanted}
        return {**found, **self.server_versions()}

    def settings(self) -> list[str]:
        lines = ["apalis-postgres: concurrency = slots"]
        if self.profile == NO_LOSS:
            lines.append(
                "LISTEN/NOTIFY and polling each second, batch_size = slots, heartbeat 10 s, 3 missed heartbeats,"
                " max_attempts 3"
            )
        else:
            lines.append(
                "the storage of the basic example, without LISTEN or a polling strategy; heartbeat 30 s,"
                " 10 missed heartbeats, max_attempts 25 (defaults)"
            )
        return lines + self.server_settings()

    def program(self, part: str) -> list[str]:
        return [self.cargo.program("compare-apalis"), part]

    def prepare(self) -> None:
        self.run(*self.program("setup"))

    def client_command(self) -> list[str]:
        return self.program("client")

    def worker_command(self, number: int) -> list[str]:
        return self.program("worker")
