"""Dramatiq on Redis."""

from ..environments import Python
from ..system import NO_LOSS, QueueSystem

REQUIREMENTS = ["dramatiq[redis]==2.2.1", "psycopg[binary]==3.3.9"]


class Dramatiq(QueueSystem):
    name = "dramatiq"
    on_redis = True
    # Middleware of another author exists for it.
    has_cancel = False

    @property
    def python(self) -> Python:
        return Python(self.environments / "dramatiq")

    def install(self) -> None:
        self.python.install(REQUIREMENTS)

    def versions(self) -> dict[str, str]:
        return {**self.python.versions(["dramatiq", "redis", "psycopg"]), **self.server_versions()}

    def settings(self) -> list[str]:
        lines = ["dramatiq --processes 1 --threads = slots", "time_limit 14400 s"]
        if self.profile == NO_LOSS:
            lines.append("dramatiq_queue_prefetch = slots; it acknowledges after the job by default")
        return lines + self.server_settings()

    def client_command(self) -> list[str]:
        return [self.python.program("python"), "-m", "dramatiq_client"]

    def environment(self) -> dict[str, str]:
        prefetch = {"dramatiq_queue_prefetch": str(self.place.slots)} if self.profile == NO_LOSS else {}
        return {**super().environment(), **prefetch}

    def worker_command(self, number: int) -> list[str]:
        return [self.python.program("dramatiq"), "dramatiq_app", "--processes", "1", "--threads", str(self.place.slots)]
