"""A Docker Engine of the test's own: other containers of the machine are not touched."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path


class Failed(Exception):
    """A check did not hold, or a step did not work."""


def wait_for(what, probe, seconds):
    """Calls `probe` until it returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.3)


class Engine:
    """One `dockerd`. Its images and its build cache stay in `folder` for the next run."""

    def __init__(self, folder, plugins):
        self.folder = Path(folder)
        # The path of a socket has at most 107 bytes, so it is not below the cache folder.
        self.exec_root = Path("/run") / f"kastrel-containers-{os.getpid()}"
        self.config = self.folder / "config"
        self.plugins = plugins
        self.process = None

    @property
    def environment(self):
        return os.environ | {
            "DOCKER_HOST": f"unix://{self.exec_root}/socket",
            "DOCKER_CONFIG": str(self.config),
            # Its traces and hints are for people.
            "DOCKER_CLI_HINTS": "false",
            "BUILDKIT_PROGRESS": "plain",
        }

    def start(self):
        if os.geteuid() != 0:
            raise Failed("a Docker Engine needs root")
        self.config.mkdir(parents=True, exist_ok=True)
        self.exec_root.mkdir(mode=0o700)
        # A context of the user would name another engine.
        (self.config / "config.json").write_text("{}\n")
        found = self.config / "cli-plugins"
        found.unlink(missing_ok=True)
        if self.plugins.is_dir():
            found.symlink_to(self.plugins)
        log = open(self.folder / "dockerd.log", "w")
        # The containers of one network reach each other without packet filters and forwarding, and
        # builds use the machine's own network: so the engine changes neither on the machine.
        self.process = subprocess.Popen(
            ["dockerd", "--data-root", self.folder / "data", "--exec-root", self.exec_root / "exec",
             "--pidfile", self.exec_root / "pid", "--host", f"unix://{self.exec_root}/socket",
             "--iptables=false", "--ip-forward=false", "--bridge=none"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
        log.close()

        def answers():
            if self.process.poll() is not None:
                raise Failed(f"dockerd ended with {self.process.returncode}: {self.last_lines()}")
            return self.docker("version", check=False).returncode == 0

        wait_for("dockerd answers", answers, 120)
        # What a run left behind that was killed.
        self.remove_everything_that_runs()

    def last_lines(self):
        return "\n".join((self.folder / "dockerd.log").read_text().splitlines()[-10:])

    def docker(self, *words, check=True, **options):
        return self.run("docker", *words, check=check, **options)

    def run(self, *words, check=True, input=None, timeout=900, environment=None, show=False):
        """Runs a command against this engine. Returns its output as text."""
        words = [str(word) for word in words]
        try:
            done = subprocess.run(
                words, env=self.environment | (environment or {}), timeout=timeout, text=not isinstance(input, bytes),
                input=input, stdin=None if input is not None else subprocess.DEVNULL,
                stdout=None if show else subprocess.PIPE, stderr=None if show else subprocess.PIPE,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(words)}: no end within {timeout} s") from late
        if check and done.returncode != 0:
            said = "" if show else f": {done.stdout[-2000:]}{done.stderr[-4000:]}"
            raise Failed(f"{' '.join(words)} ended with {done.returncode}{said}")
        return done

    def inspect(self, *names):
        return json.loads(self.docker("inspect", *names).stdout)

    def ids(self, kind, *more):
        return self.docker(kind, "ls", "--quiet", *more).stdout.split()

    def remove_everything_that_runs(self):
        for container in self.ids("container", "--all"):
            self.docker("rm", "--force", "--volumes", container)
        for volume in self.ids("volume"):
            self.docker("volume", "rm", "--force", volume)
        for network in self.ids("network", "--filter", "type=custom"):
            self.docker("network", "rm", network)

    def stop(self):
        """Removes the containers, volumes and networks, and ends the engine."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.remove_everything_that_runs()
                # Images without a name are those of earlier programs.
                self.docker("image", "prune", "--force")
                self.docker("builder", "prune", "--force", "--keep-storage", "4GB")
            except Failed as failed:
                print(f"  not removed: {failed}")
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        left = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()
                if line.split()[1].startswith((f"{self.folder}/", f"{self.exec_root}/"))]
        for mount in sorted(left, key=len, reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        left = self.processes()
        if left:
            print(f"  ending what the engine left: {left}")
            for process in left:
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.exec_root, ignore_errors=True)
        self.process = None

    def processes(self):
        """The processes whose command line names a folder of this engine: it and its helpers."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{self.exec_root}/".encode() in words:
                found.append(int(folder.name))
        return found
