"""Restate: its server from npm, and a service in Node.js."""

import json
import urllib.request
from pathlib import Path

from ..servers import Server, accepts, free_port
from ..system import NO_LOSS
from .node import NodeSystem


class RestateServer(Server):
    """The server with its embedded store, on loopback."""

    name = "restate"
    is_own = True

    def __init__(self, folder: Path, program: Path, slots: int) -> None:
        super().__init__(folder)
        self.program, self.slots = program, slots
        self.admin, self.node = free_port(), free_port()

    def command(self) -> list[str]:
        return [
            str(self.program),
            "--base-dir",
            str(self.folder / "data"),
            "--node-name",
            "compare",
            "--listen-mode",
            "tcp",
            "--no-logo",
        ]

    def environment(self) -> dict[str, str]:
        return {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.port}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self.admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{self.node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self.node}/",
            # The limit holds for each partition.
            "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
            "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": str(self.slots),
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
        }

    def is_ready(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/health", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def register(self, port: int) -> None:
        body = json.dumps({"uri": f"http://127.0.0.1:{port}", "force": True}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin}/deployments", data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


class Restate(NodeSystem):
    name = "restate"
    programs = "restate"
    packages = {
        "@restatedev/restate-server": "1.7.12",
        "@restatedev/restate-sdk": "1.17.2",
        "@restatedev/restate-sdk-clients": "1.17.2",
    }
    # The server calls one address of the service. Several processes need a load balancer there.
    max_workers = 1

    def settings(self) -> list[str]:
        lines = ["worker.invoker.concurrent-invocations-limit = slots, for its one partition; the job is one ctx.run"]
        if self.profile == NO_LOSS:
            lines.append("inactivityTimeout and abortTimeout 4 h: longer than the longest job")
        return [*lines, "Restate server: one node, embedded store", *self.server_settings()]

    def start_servers(self) -> None:
        super().start_servers()
        self.service_port = free_port()
        (self.place.folder / "restate").mkdir()
        program = self.node.folder / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
        self.restate = RestateServer(self.place.folder / "restate", program, self.place.slots)
        self.restate.start()

    def environment(self) -> dict[str, str]:
        values = {**super().environment(), "COMPARE_PORT": str(self.service_port)}
        if hasattr(self, "restate"):
            values["RESTATE_INGRESS"] = f"http://127.0.0.1:{self.restate.port}"
            values["RESTATE_ADMIN"] = f"http://127.0.0.1:{self.restate.admin}"
        return values

    def is_worker_ready(self, number: int) -> bool:
        return accepts(self.service_port)

    def start_worker(self, number: int) -> None:
        super().start_worker(number)
        self.restate.register(self.service_port)

    def servers(self) -> list[Server]:
        return [self.restate, *super().servers()] if hasattr(self, "restate") else super().servers()

    def restart_broker(self) -> str | None:
        self.restate.kill()
        self.restate.start()
        return "Restate"
