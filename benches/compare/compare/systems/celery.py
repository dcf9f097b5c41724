"""Celery on Redis."""

from ..environments import Python
from ..system import NO_LOSS, QueueSystem

REQUIREMENTS = ["celery[redis]==5.7.0", "psycopg[binary]==3.3.9"]


class Celery(QueueSystem):
    name = "celery"
    on_redis = True
    has_fairness = True

    @property
    def python(self) -> Python:
        return Python(self.environments / "celery")

    def install(self) -> None:
        self.python.install(REQUIREMENTS)

    def versions(self) -> dict[str, str]:
        return {**self.python.versions(["celery", "kombu", "redis", "psycopg"]), **self.server_versions()}

    def settings(self) -> list[str]:
        lines = ["celery worker, pool prefork, concurrency = slots; queues a and b"]
        if self.profile == NO_LOSS:
            lines.append(
                "task_acks_late, task_reject_on_worker_lost, worker_prefetch_multiplier = 1;"
                " visibility_timeout 3600 s (its default: it must exceed the longest job)"
            )
        return lines + self.server_settings()

    def client_command(self) -> list[str]:
        return [self.python.program("python"), "-m", "celery_client"]

    def worker_command(self, number: int) -> list[str]:
        return [
            self.python.program("celery"), "-A", "celery_app", "worker", "--loglevel", "WARNING",
            "--concurrency", str(self.place.slots), "--hostname", f"w{number}@compare", "-Q", "a,b",
        ]  # fmt: skip
