"""pg-boss, on PostgreSQL."""

from ..system import NO_LOSS
from .node import NodeSystem


class PgBoss(NodeSystem):
    name = "pg-boss"
    programs = "pgboss"
    packages = {"pg-boss": "12.38.0"}

    def settings(self) -> list[str]:
        lines = ["work(): localConcurrency = slots"]
        if self.profile == NO_LOSS:
            lines.append(
                "useListenNotify and notify, polling each 0.5 s, heartbeatSeconds 30,"
                " expireInSeconds 14400, retryLimit 3"
            )
        else:
            lines.append("polling each 2 s, expireInSeconds 900, retryLimit 2 (defaults)")
        return lines + self.server_settings()

    def prepare(self) -> None:
        self.run(*self.program("client"), "migrate")
