"""RQ."""

from ..environments import Python
from ..system import NO_LOSS, QueueSystem

REQUIREMENTS = ["rq==3.0.0", "psycopg[binary]==3.3.9"]


class Rq(QueueSystem):
    name = "rq"
    on_redis = True
    has_fairness = True

    @property
    def python(self) -> Python:
        return Python(self.environments / "rq")

    def install(self) -> None:
        self.python.install(REQUIREMENTS)

    def versions(self) -> dict[str, str]:
        return {**self.python.versions(["rq", "redis", "psycopg"]), **self.server_versions()}

    def settings(self) -> list[str]:
        lines = [
            "rq worker-pool --num-workers = slots --worker-class rq.worker.RoundRobinWorker; queues a and b",
            "job_timeout 14400 s",
        ]
        if self.profile == NO_LOSS:
            lines.append("Retry(max=3): a job of a dead worker is retried")
        return lines + self.server_settings()

    def client_command(self) -> list[str]:
        return [self.python.program("python"), "-m", "rq_client"]

    def worker_command(self, number: int) -> list[str]:
        return [
            self.python.program("rq"), "worker-pool", "a", "b", "--url", self.redis.url, "--quiet",
            "--num-workers", str(self.place.slots), "--worker-class", "rq.worker.RoundRobinWorker",
        ]  # fmt: skip
