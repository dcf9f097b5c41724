"""Runs the tests: a fresh folder, fresh servers and a fresh worker for each round of each system."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from .system import SOURCES, Place, System
from .trial import Result, Sizes
from .trials import t2_burst, t9_history


def build_scanner(folder: Path) -> Path:
    """Compiles the fake scanner. A static program needs no loader before its first instruction."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "scanner"
    source = SOURCES / "compare" / "scanner.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-static", "-o", program, source], check=True)
    return program


def machine(folder: Path) -> dict[str, str]:
    """Describes the machine that measures."""
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    command = ["findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)]
    found = (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if shutil.which("findmnt")
        else ""
    )
    distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return {
        "processor": f"{processor}, {os.cpu_count()} cores",
        "memory": f"{memory / 1e6:.0f} GB",
        "system": f"{distribution}, Linux {platform.release()}",
        "file system": found or "unknown",
        "harness": f"Python {platform.python_version()}",
    }


class Runner:
    def __init__(self, scanner: Path, data: Path, slots: int, sizes: Sizes, results: Path) -> None:
        self.scanner, self.data, self.slots, self.sizes = scanner, data, slots, sizes
        now = datetime.datetime.now(datetime.UTC)
        self.output = results / f"{now:%Y-%m-%d-%H%M%S}.json"
        shown = ", ".join(
            f"{name} {value}" for name, value in {"slots": slots, **asdict(sizes)}.items() if name != "history"
        )
        self.run = {
            "machine": machine(data),
            "date": f"{now:%Y-%m-%d %H:%M} UTC",
            "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
            "sizes": shown,
            "systems": [],
            "records": [],
        }

    def place(self, locks: bool) -> Place:
        """Creates the folders of a round. They are not in /tmp, which an attempt of Kastrel may not see."""
        folder = Path(tempfile.mkdtemp(prefix="compare-", dir=self.data))
        # PostgreSQL runs as its own user.
        folder.chmod(0o755)
        scanner = folder / "scanner"
        shutil.copy(self.scanner, scanner)
        if locks:
            (folder / "locks").mkdir()
        return Place(folder, scanner, self.slots)

    def floor(self, number: int) -> None:
        place = self.place(locks=False)
        try:
            self.add("floor (no store)", "–", t2_burst, number, t2_burst.floor(place, self.sizes), "")
        finally:
            shutil.rmtree(place.folder)

    def round(self, system: System, trial: ModuleType, number: int, keep: bool, history: int | None = None) -> None:
        """Runs one test once. An error is a row of the table and not the end of the run."""
        sizes = self.sizes if history is None else replace(self.sizes, history=history)
        size = f"{history:,} finished jobs" if history is not None else ""
        place = self.place(trial.LOCKS)
        print(f"{trial.NAME} {size} {system.name} ({system.profile}), round {number}", flush=True)
        begin = time.monotonic()
        failed = False
        try:
            try:
                system.start(place, trial.WORKERS)
                result = trial.run(system, sizes)
            finally:
                system.stop()
            self.add(system.name, system.profile, trial, number, result, size)
        except Exception as error:
            failed = True
            (place.folder / "error.log").write_text(traceback.format_exc())
            text = f"{type(error).__name__}: {error}".replace(str(place.folder), "…")
            print(f"    failed: {text}; the logs are in {place.folder}", flush=True)
            record = {"test": trial.NAME, "system": system.name, "profile": system.profile, "round": number}
            self.run["records"].append({**record, "size": size, "failed": text})
            self.save()
        print(f"    {time.monotonic() - begin:.0f} s", flush=True)
        if not failed and not keep:
            shutil.rmtree(place.folder, ignore_errors=True)

    def add(self, system: str, profile: str, trial: ModuleType, number: int, result: Result, size: str) -> None:
        record = {"test": trial.NAME, "system": system, "profile": profile, "round": number, "size": size}
        self.run["records"].append({**record, "values": result.values, "notes": result.notes})
        shown = ", ".join(f"{key} {'–' if value is None else f'{value:.2f}'}" for key, value in result.values.items())
        print(f"    {shown}", flush=True)
        self.save()

    def save(self) -> None:
        """Writes what was measured so far: a long run that ends early has its results."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.output.with_suffix(".tmp")
        fresh.write_text(json.dumps(self.run, indent=1) + "\n")
        fresh.rename(self.output)

    def all(
        self, systems: list[System], trials: list[ModuleType], rounds: int, histories: list[int], keep: bool
    ) -> None:
        for system in systems:
            found = {"system": system.name, "profile": system.profile}
            self.run["systems"].append({**found, "versions": system.versions(), "settings": system.settings()})
        for trial in trials:
            # The rounds of a test alternate between the systems, so that a busy minute does not
            # favour one of them.
            for number in range(1, rounds + 1):
                if trial is t2_burst:
                    self.floor(number)
                for system in systems:
                    if trial is t9_history:
                        for history in histories:
                            self.round(system, trial, number, keep, history)
                    else:
                        self.round(system, trial, number, keep)
