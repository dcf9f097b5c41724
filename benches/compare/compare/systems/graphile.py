"""Graphile Worker, on PostgreSQL."""

from ..system import NO_LOSS
from .node import NodeSystem


class Graphile(NodeSystem):
    name = "graphile-worker"
    programs = "graphile"
    packages = {"graphile-worker": "0.18.0"}
    has_cancel = False

    def settings(self) -> list[str]:
        lines = ["run(): concurrency = slots; jobs of a dead worker are free after 4 h (default)"]
        if self.profile == NO_LOSS:
            lines.append("each start calls forceUnlockWorkers for the id of its predecessor")
        return lines + self.server_settings()

    def prepare(self) -> None:
        self.postgres.sql("create table pool_id (number int not null, id text not null)")
        self.run(*self.program("client"), "migrate")
