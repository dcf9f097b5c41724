"""The checks, in order. Each starts from healthy services without running scans, and leaves them so."""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from engine import Failed, wait_for
from stack import SERVICES

# What the compose file says that a stopped worker may take.
GRACE = 120


def ok(text):
    print(f"  ok  {text}", flush=True)


def check(holds, text, found=None):
    """Prints what was checked, or fails with it."""
    if not holds:
        raise Failed(text if found is None else f"{text}; found: {found}")
    ok(text)


def end_as_counted(stack, before, scans, attempts=None):
    """Waits until the scans have completed, and checks that there is nothing more and nothing less."""
    check(len(set(scans)) == len(scans), f"{len(scans)} scans were accepted, each with its own number")
    done = stack.wait_completed(scans)
    counts = stack.get("/api/stats")["scans"]
    check(counts["total"] == before + len(scans), f"all {len(scans)} completed, and no other scan appeared", counts)
    check(counts["running"] == 0 and counts["pending"] == 0, "nothing waits or runs", counts)
    for scan in done:
        numbers = [attempt["number"] for attempt in scan["attempts"]]
        ends = [attempt["end"] for attempt in scan["attempts"]]
        if numbers != list(range(1, len(numbers) + 1)) or ends[-1] != "completed" or ends.count("completed") != 1:
            raise Failed(f"scan {scan['scan_id']} has the attempts {scan['attempts']}")
    if attempts is not None:
        odd = {scan["scan_id"]: scan["attempts"] for scan in done if len(scan["attempts"]) != attempts}
        check(not odd, f"each took {attempts} attempt(s)", odd)
    return done


def image(stack):
    """The image, alone."""
    engine = stack.engine
    config = engine.inspect(stack.image)[0]["Config"]
    check(config["User"] == "10001", "its user is not root, and is a number", config["User"])
    check(config["Entrypoint"] == ["kastrel"] and config["Cmd"] == ["serve"], "it starts `kastrel serve`")
    limits = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]
    version = stack.image.rsplit(":", 1)[1]
    said = engine.docker("run", "--rm", *limits, stack.image, "--version").stdout
    check(version in said, f"the program in it is of version {version}", said)
    name = engine.docker("run", "--detach", "--init", "--tmpfs", "/tmp", *limits, "--env", "KASTREL_AUTH_MODE=local",
                         stack.image, "serve", "--listen", "0.0.0.0:5000").stdout.strip()

    def state():
        return engine.inspect(name)[0]["State"]
    wait_for("a container by itself is healthy", lambda: state()["Health"]["Status"] == "healthy", 300)
    ok("a container by itself, with an embedded database, is healthy by the image's own check")
    engine.docker("stop", "--time", "30", name)
    check(state()["ExitCode"] == 0, "it ends with 0 at a stop", state())
    engine.docker("rm", "--volumes", name)


def start(stack):
    """All services start and become healthy."""
    begun = time.monotonic()
    stack.up()
    for service in SERVICES[:-1]:
        states = stack.health(service)
        wanted = 2 if service == "worker" else 1
        check(states == ["healthy"] * wanted, f"{service}: {wanted} container(s), healthy", states)
    ok(f"the start took {time.monotonic() - begun:.0f} s")
    containers = {service: stack.containers(service) for service in SERVICES}
    ready = containers["surrealdb"][0]["State"]["StartedAt"]
    early = [one["Name"] for service in ["web", "worker"] for one in containers[service]
             if one["State"]["StartedAt"] < ready]
    check(not early, "web and workers started after the database", early)
    published = {service: one["NetworkSettings"]["Ports"] for service, found in containers.items() for one in found}
    reached = [(service, to) for service, ports in published.items() for port, found in ports.items()
               for to in found or []]
    check([(service, to["HostIp"]) for service, to in reached] == [("web", "127.0.0.1")],
          "only web has a published port, on loopback", reached)


def access(stack):
    """A program gets an account and a token."""
    status, _ = stack.request("POST", "/api/scans", {"target": "http://quick.test/"})
    check(status == 401, "without a token a submission is refused", status)
    # An auditor may read the nodes.
    stack.kastrel("service-account", "create", "ci", "--auditor", "--role", "operator")
    stack.token = stack.kastrel("token", "create", "--account", "ci", "--label", "test", "--role", "operator",
                                "--server-role").strip()
    status, ready = stack.request("GET", "/readyz")
    check(status == 200 and ready["ready"], "/readyz: every check is ok", ready)
    nodes = stack.wait_nodes(2)
    hosts = {one["Config"]["Hostname"] for one in stack.containers("worker")}
    check(set(nodes) == hosts, "the two workers are the nodes, with the ids of their containers", nodes)


def rights(stack):
    """No root, no capabilities, a root file system that cannot be written."""
    has_seccomp = "name=seccomp" in stack.engine.docker("info", "--format", "{{.SecurityOptions}}").stdout
    for service in ["redis", "surrealdb", "web", "worker"]:
        for container in stack.containers(service):
            host = container["HostConfig"]
            processes = stack.processes(container)
            if not processes:
                raise Failed(f"{container['Name']} has no process")
            for process in processes:
                users = set(process["Uid"].split())
                rights = {process[name] for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]}
                if "0" in users or rights != {"0" * 16} or process["NoNewPrivs"] != "1":
                    raise Failed(f"{container['Name']}: {process['command']}: {process}")
                if has_seccomp and process["Seccomp"] != "2":
                    raise Failed(f"{container['Name']}: {process['command']} has no system call filter")
            root = [line.split() for line in Path(f"/proc/{container['State']['Pid']}/mountinfo").read_text().splitlines()]
            options = [line[5] for line in root if line[4] == "/"][-1].split(",")
            if not host["ReadonlyRootfs"] or "ro" not in options or host["Privileged"]:
                raise Failed(f"{container['Name']}: {host['ReadonlyRootfs']} {options}")
        users = sorted({process["Uid"].split()[1] for process in processes})
        ok(f"{service}: {len(processes)} process(es) of user {', '.join(users)}, no capability, no new privileges, "
           "read-only root")
        if service in ("web", "worker") and users != ["10001"]:
            raise Failed(f"{service} runs as {users}")
    for path in ["/usr/local/lib/kastrel/x", "/etc/x", "/var/lib/kastrel-scan/x"]:
        done = stack.compose("exec", "-T", "web", "touch", path, check=False)
        if done.returncode == 0:
            raise Failed(f"{path} was written")
    check(True, "files outside of the volumes cannot be written")
    done = stack.compose("exec", "-T", "web", "sh", "-c", "touch /tmp/x && rm /tmp/x && touch results/x && rm results/x")
    check(done.returncode == 0, "/tmp and the volumes can")


def scans(stack):
    """Scans with the built-in scanner, from the submission to the findings."""
    before = stack.total()
    done = end_as_counted(stack, before, stack.submit_all("quick.test", 6), attempts=1)
    scan = done[0]
    check(scan["results_count"] > 0 and scan["issues_count"] > 0, f"a scan has {scan['results_count']} results and "
          f"{scan['issues_count']} issues", scan)
    info = stack.get(f"/scans/{scan['scan_id']}/attempts/1/files/kast_info.json")
    check(bool(info), "web serves the files that a worker wrote")
    seen = stack.engine.docker("logs", stack.container("site")["Id"])
    requests = len((seen.stdout + seen.stderr).splitlines())
    check(requests >= 6, f"the web server was asked {requests} times")

    def found():
        return stack.get("/api/findings?q=target:quick.test").get("findings")
    findings = wait_for("findings of the target", found, 60)
    ok(f"the target has {len(findings)} findings")
    # More scans than one worker has slots, so that both must work.
    before = stack.total()
    done = end_as_counted(stack, before, stack.submit_all("slow.test", 8), attempts=1)
    nodes = Counter(scan["attempts"][0]["node"] for scan in done)
    check(len(nodes) == 2, f"both workers ran scans: {sorted(nodes.values())}", nodes)


def logs(stack):
    """Logs are JSON where the docs say so, and hold no secrets."""
    text = stack.logs("web", "worker")
    lines = [line for line in text.splitlines() if line.strip()]
    parsed, plain = [], []
    for line in lines:
        try:
            parsed.append(json.loads(line))
        except ValueError:
            plain.append(line)
    check(len(plain) == 3 and all(" listens on http://" in line for line in plain),
          "the only lines that are not JSON name the address of web and of each worker", plain)
    lacking = [line for line in parsed if not {"timestamp", "level"} <= set(line)]
    check(not lacking, f"the other {len(parsed)} lines are JSON with a time and a level", lacking[:1])
    levels = Counter(line["level"] for line in parsed)
    check("ERROR" not in levels, f"no error is logged: {dict(levels)}",
          [line for line in parsed if line["level"] == "ERROR"][:3])
    links = [line for line in lines if "setup" in line and "link=" in line]
    check(len(links) == 1, "the log of web has the one-time link of the first administrator, once", links)
    check("Ready to accept connections" in stack.logs("redis"), "the log of Redis is its own text")
    secrets = {"the password of the database": stack.password, "the token": stack.token}
    everything = text + stack.logs("redis", "surrealdb")
    for name, secret in secrets.items():
        check(secret not in everything, f"no log holds {name}")


def health(stack):
    """Without the database nothing is accepted and nothing is healthy; it heals by itself."""
    before = stack.total()
    stack.compose("stop", "surrealdb")
    stack.wait_health("unhealthy", "web", "worker")
    ok("web and workers are unhealthy without the database")
    status, _ = stack.request("GET", "/readyz")
    check(status == 503, "/readyz answers 503", status)
    status, _ = stack.request("GET", "/livez")
    check(status == 200, "/livez still answers 200", status)
    status, body = stack.request("POST", "/api/scans", {"target": "http://quick.test/"})
    check(status == 503, "a submission is refused with 503", (status, body))
    stack.compose("start", "surrealdb")
    stack.wait_health("healthy", "web", "worker")
    ok("they are healthy again when it is back, without a restart")
    check(all(one["RestartCount"] == 0 for one in stack.containers("worker") + stack.containers("web")),
          "no container was restarted")
    check(stack.total() == before, "what was refused does not exist")
    stack.wait_nodes(2)


def worker_lost(stack):
    """A worker's container is killed while it runs scans."""
    before = stack.total()
    numbers = stack.submit_all("slow.test", 6)
    running = stack.wait_status(numbers, ["running"], 60)
    nodes = stack.nodes()
    on = {scan["scan_id"]: scan["attempts"][0]["node"] for scan in running}
    victim = next(one for one in stack.containers("worker")
                  if nodes[one["Config"]["Hostname"]]["id"] in on.values())
    node = nodes[victim["Config"]["Hostname"]]["id"]
    hit = [number for number, one in on.items() if one == node]
    stack.engine.docker("kill", victim["Id"])
    ok(f"killed a worker's container with {len(hit)} of {len(numbers)} scans running on it")
    done = end_as_counted(stack, before, numbers)
    for scan in done:
        ends = [(attempt["end"], attempt["reason"]) for attempt in scan["attempts"]]
        if scan["scan_id"] in hit:
            if len(ends) != 2 or ends[0][1] != "node_lost" or scan["attempts"][1]["node"] == node:
                raise Failed(f"scan {scan['scan_id']} ran on the killed worker: {scan['attempts']}")
        elif ends != [("completed", None)]:
            raise Failed(f"scan {scan['scan_id']} ran on the other worker: {scan['attempts']}")
    ok("its scans took a second attempt on the other worker, and those of the other worker one attempt")
    stack.up("--no-recreate")
    stack.wait_nodes(2)
    ok("a second worker is healthy again")


def worker_crashed(stack):
    """A worker's process dies, and Docker starts the container again."""
    before = stack.total()
    numbers = stack.submit_all("slow.test", 6)
    running = stack.wait_status(numbers, ["running"], 60)
    nodes = stack.nodes()
    on = {scan["attempts"][0]["node"] for scan in running}
    victim = next(one for one in stack.containers("worker") if nodes[one["Config"]["Hostname"]]["id"] in on)
    os.kill(victim["State"]["Pid"], signal.SIGKILL)
    wait_for("Docker restarts the container",
             lambda: stack.engine.inspect(victim["Id"])[0]["RestartCount"] == 1, 30)
    ok("killed the first process of a worker's container; Docker started the container again")
    end_as_counted(stack, before, numbers)
    stack.wait_health("healthy", "worker")
    stack.wait_nodes(2)
    ok("both workers are healthy")


class Submitter(threading.Thread):
    """Submits scans one after the other. An answer that does not accept is tried again with the same
    key, as a client would."""

    def __init__(self, stack, host):
        super().__init__(daemon=True)
        self.stack, self.host = stack, host
        self.accepted, self.refusals, self.failure = [], 0, None
        self.ended = threading.Event()

    def run(self):
        number = 0
        try:
            while not self.ended.is_set():
                number += 1
                key = f"{id(self):x}-{number}"
                while (scan := self.stack.submit(self.host, key)) is None:
                    self.refusals += 1
                    time.sleep(0.2)
                self.accepted.append(scan)
                time.sleep(0.5)
        except Failed as failed:
            self.failure = failed

    def finish(self):
        self.ended.set()
        self.join(120)
        if self.is_alive() or self.failure:
            raise Failed(f"submissions failed: {self.failure or 'one never ended'}")
        return self.accepted


def redis_restarted(stack):
    """Redis is killed and started, then loses its volume, while scans wait and run."""
    before = stack.total()
    numbers = stack.submit_all("slow.test", 12)
    submitter = Submitter(stack, "quick.test")
    submitter.start()
    redis = stack.container("redis")["Id"]
    stack.engine.docker("kill", redis)
    time.sleep(3)
    stack.engine.docker("start", redis)
    stack.wait_health("healthy", "redis")
    ok("killed Redis, and started it 3 s later")
    time.sleep(3)
    stack.compose("rm", "--stop", "--force", "redis")
    stack.engine.docker("volume", "rm", stack.config["volumes"]["redis"]["name"])
    stack.compose("up", "--detach", "--no-build", "--wait", "redis")
    ok("removed Redis with its volume, and started an empty one")
    time.sleep(5)
    numbers += submitter.finish()
    check(len(numbers) > 14, f"meanwhile {len(numbers) - 12} more scans were accepted, {submitter.refusals} refused")
    end_as_counted(stack, before, numbers, attempts=1)
    stack.wait_health("healthy", "web", "worker")


def database_restarted(stack):
    """The database is killed and started while scans are submitted and run."""
    before = stack.total()
    numbers = stack.submit_all("slow.test", 6)
    submitter = Submitter(stack, "quick.test")
    submitter.start()
    time.sleep(4)
    database = stack.container("surrealdb")["Id"]
    stack.engine.docker("kill", database)
    time.sleep(3)
    stack.engine.docker("start", database)
    stack.wait_health("healthy", "surrealdb")
    ok("killed the database, and started it 3 s later")
    count = len(submitter.accepted)
    wait_for("submissions are accepted again", lambda: len(submitter.accepted) > count + 3, 120)
    numbers += submitter.finish()
    check(submitter.refusals > 0, f"{len(numbers)} scans were accepted, {submitter.refusals} requests refused meanwhile")
    end_as_counted(stack, before, numbers)
    stack.wait_health("healthy", "web", "worker")


def scaled(stack):
    """More workers, then fewer, while scans run."""
    before = stack.total()
    numbers = stack.submit_all("slow.test", 20)
    stack.up("--no-recreate", workers=4)
    stack.wait_nodes(4)
    ok("four workers are healthy and are nodes")
    wait_for("scans run on four nodes",
             lambda: sum(node["running"] > 0 for node in stack.nodes().values()) >= 3 or
             len({attempt["node"] for number in numbers for attempt in stack.scan(number)["attempts"]}) >= 3, 120)
    ok("the new workers run scans that waited")
    numbers += stack.submit_all("slow.test", 8)
    begun = time.monotonic()
    stack.up("--no-recreate", workers=1)
    took = time.monotonic() - begun
    check(took < GRACE, f"three workers stopped within {took:.0f} s")
    check(len(stack.containers("worker", running=False)) == 1, "one worker is left")
    done = end_as_counted(stack, before, numbers)
    ends = Counter((attempt["end"], attempt["reason"]) for scan in done for attempt in scan["attempts"])
    check(all(end in ("completed", "interrupted") and reason != "node_lost" for end, reason in ends),
          f"a stopped worker finishes its scans or hands them over: {dict(ends)}", ends)
    stack.wait_nodes(1)
    stack.up("--no-recreate")
    stack.wait_nodes(2)


def summary(stack):
    """Returns what must be the same after a restore."""
    scans = stack.get("/api/scans?per_page=100")["scans"]
    return {scan["scan_id"]: (scan["status"], scan["target"], scan["attempt"], scan["issues_count"], scan["completed_at"])
            for scan in scans}


def restored(stack):
    """A backup from the running services, restored into an empty database."""
    before, total = summary(stack), stack.total()
    backup = stack.compose("exec", "-T", "web", "kastrel", "backup", "-").stdout.encode()
    check(len(backup) > 1000, f"the backup of {total} scans has {len(backup)} bytes")
    refused = stack.compose("run", "--rm", "-T", "web", "restore", "-", input=backup, check=False)
    check(refused.returncode != 0 and "not empty" in str(refused.stderr), "a database that is not empty is refused",
          refused.stderr)
    stack.compose("stop", "web", "worker")
    codes = [one["State"]["ExitCode"] for service in ["web", "worker"] for one in stack.containers(service, running=False)]
    check(codes == [0, 0, 0], "web and workers end with 0 at a stop", codes)
    stack.compose("rm", "--stop", "--force", "surrealdb")
    stack.engine.docker("volume", "rm", stack.config["volumes"]["surrealdb"]["name"])
    stack.compose("up", "--detach", "--no-build", "--wait", "surrealdb")
    stack.compose("run", "--rm", "-T", "web", "restore", "-", input=backup)
    ok("restored it into a database with a new volume")
    stack.up()
    check(stack.total() == total and summary(stack) == before, f"all {total} scans are as before, and the token is valid")
    number = next(iter(before))
    check(bool(stack.get(f"/scans/{number}/attempts/1/files/kast_info.json")), "files of a restored scan are served")
    scan = stack.submit_all("quick.test", 1)
    check(scan[0] > max(before), "a new scan gets the next number", scan)
    end_as_counted(stack, total, scan, attempts=1)


def upgraded(stack):
    """A new image, while scans run."""
    before, old = stack.total(), stack.engine.inspect(stack.image)[0]["Id"]
    stack.variables["KASTREL_TEST_LABEL"] = "second"
    stack.compose("build", "web", timeout=1800)
    new = stack.engine.inspect(stack.image)[0]["Id"]
    check(new != old, "built a second image under the same name")
    numbers = stack.submit_all("slow.test", 8)
    stack.wait_status(numbers[:4], ["running"], 60)
    stack.up()
    used = {one["Image"] for service in ["web", "worker"] for one in stack.containers(service)}
    check(used == {new}, "web and both workers run the second image", used)
    done = end_as_counted(stack, before, numbers)
    ends = Counter((attempt["end"], attempt["reason"]) for scan in done for attempt in scan["attempts"])
    check(all(end in ("completed", "interrupted") and reason != "node_lost" for end, reason in ends),
          f"the scans that ran were finished or handed over: {dict(ends)}", ends)
    stack.wait_nodes(2)


def scan_user(stack):
    """With the second compose file, scanners have a user of their own."""
    before = stack.total()
    stack.files.append("config/container/scan-user.yml")
    stack.up()
    stack.wait_nodes(2)
    numbers = stack.submit_all("slow.test", 4)
    stack.wait_status(numbers, ["running"], 60)

    def users():
        found = Counter()
        for container in stack.containers("worker"):
            for process in stack.processes(container):
                found[process["Uid"].split()[1], process["CapEff"]] += 1
        return found if any(user == "10002" for user, _ in found) else None
    found = wait_for("a scanner's process", users, 60)
    kept = "00000000000000e0"
    scanners = {rights for user, rights in found if user == "10002"}
    check(scanners == {"0" * 16}, "scanners run as user 10002, without capabilities", found)
    check({rights for user, rights in found if user == "10001"} <= {"0" * 16, kept},
          "Kastrel runs as user 10001 with SETUID, SETGID and KILL", found)
    check({user for user, _ in found} <= {"0", "10001", "10002"}, "there is no other user", found)
    end_as_counted(stack, before, numbers, attempts=1)
    stack.files.pop()
    stack.up()
    stack.wait_nodes(2)


def stopped(stack):
    """Everything stops, and leaves nothing."""
    stack.compose("stop", timeout=GRACE + 60)
    codes = {one["Name"]: one["State"]["ExitCode"] for service in ["web", "worker", "redis", "surrealdb"]
             for one in stack.containers(service, running=False)}
    check(all(code == 0 for code in codes.values()), f"all {len(codes)} containers end with 0", codes)
    stack.compose("down", "--volumes", "--remove-orphans")
    left = {kind: stack.engine.ids(kind, *more) for kind, more in
            [("container", ["--all"]), ("volume", []), ("network", ["--filter", "type=custom"])]}
    # The data folder of a worker is a volume without a name. Compose keeps it when it removes a
    # worker because fewer are wanted; the engine removes it at the end.
    volumes = [name for name in left.pop("volume") if len(name) != 64]
    check(not any(left.values()) and not volumes, "no container, named volume or network is left", (left, volumes))


CASES = [image, start, access, rights, scans, logs, health, worker_lost, worker_crashed, redis_restarted,
         database_restarted, scaled, restored, upgraded, scan_user, stopped]
