"""What the Node.js systems share: the environment, and copies of the programs in it."""

from ..environments import Node
from ..system import JOBS, QueueSystem


class NodeSystem(QueueSystem):
    packages: dict[str, str]
    """The system's own packages with their versions."""
    programs: str
    """The prefix of its programs in `jobs/node`."""

    @property
    def node(self) -> Node:
        return Node(self.environments / self.name)

    def install(self) -> None:
        self.node.install({"node": "22.23.3", "pg": "8.23.1", **self.packages})
        sources = JOBS / "node"
        shared = [sources / "job.mjs", sources / "client_loop.mjs"]
        self.node.copy(shared + sorted(sources.glob(f"{self.programs}*.mjs")))

    def versions(self) -> dict[str, str]:
        return {**self.node.versions([*self.packages, "pg"]), **self.server_versions()}

    def program(self, part: str) -> list[str]:
        return [self.node.node(), str(self.node.folder / f"{self.programs}_{part}.mjs")]

    def client_command(self) -> list[str]:
        return self.program("client")

    def worker_command(self, number: int) -> list[str]:
        return self.program("worker")
