"""The services of `docker-compose.yml`, and requests to them."""

import json
import secrets
import socket
import urllib.error
import urllib.request
from pathlib import Path

from engine import Failed, wait_for
from images import HERE, REPOSITORY

# Jaeger and the services of the profile `observability` are left out: their images cannot be made
# here, and no service waits for them. The tests in tests/integration/deploy parse their files.
SERVICES = ["redis", "surrealdb", "web", "worker", "site"]
PROJECT = "kastrel-test"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Stack:
    def __init__(self, engine, contexts):
        self.engine = engine
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.token = None
        self.files = ["docker-compose.yml", "tests/containers/compose.yml"]
        self.variables = {
            "SURREAL_PASSWORD": self.password,
            "KASTREL_PORT": str(self.port),
            "KASTREL_PROGRAM": "ready",
            "KASTREL_TEST_CONTEXTS": str(contexts),
            # The web server that is scanned has an address of the containers' network.
            "KASTREL_ALLOW_PRIVATE_TARGETS": "true",
        }
        self.config = json.loads(self.compose("config", "--format", "json").stdout)
        self.image = self.config["services"]["web"]["image"]

    def compose(self, *words, **options):
        files = [word for file in self.files for word in ("--file", str(REPOSITORY / file))]
        # A file `.env` of the user has no say.
        return self.engine.docker(
            "compose", "--project-directory", str(REPOSITORY), "--project-name", PROJECT, "--env-file", "/dev/null",
            *files, *words, environment=self.variables, **options)

    def up(self, *words, workers=2):
        """Brings the services up and waits until all are healthy."""
        self.compose("up", "--detach", "--no-build", "--quiet-pull", "--wait", "--wait-timeout", "300",
                     "--scale", f"worker={workers}", *words, *SERVICES)

    def containers(self, service, running=True):
        """Returns what the engine knows of the containers of a service."""
        words = [] if running else ["--all"]
        found = self.engine.ids("container", *words, "--filter", f"label=com.docker.compose.project={PROJECT}",
                                "--filter", f"label=com.docker.compose.service={service}")
        return sorted(self.engine.inspect(*found), key=lambda one: one["Name"]) if found else []

    def container(self, service):
        found = self.containers(service)
        if len(found) != 1:
            raise Failed(f"{service} has {len(found)} containers")
        return found[0]

    def health(self, service):
        return [one["State"]["Health"]["Status"] for one in self.containers(service)]

    def wait_health(self, status, *services, seconds=180):
        def reached():
            states = [state for service in services for state in self.health(service)]
            return states and all(state == status for state in states)
        wait_for(f"{', '.join(services)} {status}", reached, seconds)

    def processes(self, container):
        """Returns the fields of `/proc/PID/status` of each process of a container, as seen from the
        machine, with its command line."""
        listed = self.engine.docker("top", container["Id"], "-eo", "pid").stdout.split()[1:]
        found = []
        for number in listed:
            folder = Path("/proc") / number
            try:
                lines = (folder / "status").read_text().splitlines()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            # A process that ended and was not waited for has no rights any more.
            if not fields["State"].startswith("Z"):
                found.append(fields | {"command": b" ".join(words).decode(errors="replace").strip()})
        return found

    def kastrel(self, *words, **options):
        """Runs a command in the container of the dashboard."""
        return self.compose("exec", "-T", "web", "kastrel", *words, **options).stdout

    # Requests

    def request(self, method, path, body=None, headers=None):
        """Returns the status and the body; the status 0 if there was no answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            body = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, body, timeout=15) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        except OSError as error:
            return 0, str(error)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def get(self, path):
        """Reads a resource that must be there. It tries again while the server is not ready."""
        def answered():
            status, body = self.request("GET", path)
            if status in (0, 503):
                return None
            if status != 200:
                raise Failed(f"GET {path}: {status} {body}")
            return (body,)
        return wait_for(f"GET {path}", answered, 60)[0]

    def submit(self, host, key=None):
        """Submits a scan. Returns its id, or None if it was not accepted."""
        headers = {"Idempotency-Key": key or secrets.token_hex(12)}
        status, body = self.request("POST", "/api/scans", {"target": f"http://{host}/"}, headers)
        if status in (200, 201, 202):
            return body["scan_id"]
        if status in (0, 429, 500, 502, 503, 504):
            return None
        raise Failed(f"a scan of {host} was refused: {status} {body}")

    def submit_all(self, host, count):
        scans = [self.submit(host) for _ in range(count)]
        if None in scans:
            raise Failed(f"of {count} scans {scans.count(None)} were not accepted")
        return scans

    def scan(self, number):
        return self.get(f"/api/scans/{number}")

    def wait_status(self, scans, statuses, seconds=300):
        """Waits until every scan is in one of these states. Returns the scans."""
        found = {}

        def reached():
            for number in scans:
                if number not in found:
                    scan = self.scan(number)
                    if scan["status"] in statuses:
                        found[number] = scan
                    elif scan["status"] in ("failed", "cancelled"):
                        raise Failed(f"scan {number} is {scan['status']}: {scan.get('error_message')} {scan['attempts']}")
            return len(found) == len(set(scans))
        wait_for(f"scans {scans} {' or '.join(statuses)}", reached, seconds)
        return [found[number] for number in scans]

    def wait_completed(self, scans, seconds=300):
        return self.wait_status(scans, ["completed"], seconds)

    def nodes(self):
        """Returns the nodes with a lease, by the name of their host, which is the container's id."""
        return {node["host"]: node for node in self.get("/api/nodes")["nodes"] if node["alive"]}

    def wait_nodes(self, count, seconds=120):
        return wait_for(f"{count} nodes", lambda: (lambda nodes: nodes if len(nodes) == count else None)(self.nodes()), seconds)

    def total(self):
        return self.get("/api/stats")["scans"]["total"]

    def logs(self, *services):
        texts = [self.engine.docker("logs", one["Id"]) for service in services for one in self.containers(service, running=False)]
        return "".join(text.stdout + text.stderr for text in texts)
