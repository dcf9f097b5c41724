"""Procrastinate, on PostgreSQL."""

from ..environments import Python
from ..system import NO_LOSS, QueueSystem

REQUIREMENTS = ["procrastinate==3.10.0", "psycopg[binary]==3.3.9"]


class Procrastinate(QueueSystem):
    name = "procrastinate"

    @property
    def python(self) -> Python:
        return Python(self.environments / "procrastinate")

    def install(self) -> None:
        self.python.install(REQUIREMENTS)

    def versions(self) -> dict[str, str]:
        return {**self.python.versions(["procrastinate", "psycopg"]), **self.server_versions()}

    def settings(self) -> list[str]:
        lines = ["procrastinate worker --concurrency = slots, asynchronous job"]
        if self.profile == NO_LOSS:
            lines.append(
                "the documented periodic task retries stalled jobs, each minute; RetryStrategy(max_attempts=3)"
            )
        return lines + self.server_settings()

    def prepare(self) -> None:
        self.run(self.python.program("procrastinate"), "--app", "procrastinate_app.app", "schema", "--apply")

    def client_command(self) -> list[str]:
        return [self.python.program("python"), "-m", "procrastinate_client"]

    def worker_command(self, number: int) -> list[str]:
        return [
            self.python.program("procrastinate"), "--app", "procrastinate_app.app", "--log-level", "warning",
            "worker", "--concurrency", str(self.place.slots),
        ]  # fmt: skip
