"""BullMQ, on Redis."""

from ..system import NO_LOSS
from .node import NodeSystem


class BullMq(NodeSystem):
    name = "bullmq"
    programs = "bullmq"
    packages = {"bullmq": "6.7.0", "ioredis": "5.11.1"}
    on_redis = True
    # Its worker has a call for jobs of its own process; its queue has none.
    has_cancel = False

    def settings(self) -> list[str]:
        lines = ["Worker: concurrency = slots; lockDuration 30 s, stalledInterval 30 s, maxStalledCount 1 (defaults)"]
        if self.profile == NO_LOSS:
            lines.append("attempts 3")
        return lines + self.server_settings()
