"""Looks at processes through /proc: trees, memory, context switches, and the fake scanner."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from collections.abc import Callable, Iterable


def parents() -> dict[int, int]:
    """Returns the parent of each process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            # The name of the program may contain blanks and brackets.
            found[int(entry)] = int(stat[stat.rindex(")") + 2 :].split()[1])
    return found


def tree(roots: Iterable[int], without: str | None = None) -> list[int]:
    """Returns the processes and their descendants, but none whose program is `without`, and
    nothing below such a process."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    open_pids = list(roots)
    while open_pids:
        pid = open_pids.pop()
        if pid in found or not is_alive(pid) or (without is not None and program(pid) == without):
            continue
        found.append(pid)
        open_pids.extend(children.get(pid, []))
    return found


def program(pid: int) -> str | None:
    """Returns the path of a process's program. `None`: the process is gone, or a zombie."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """True if the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def with_program(path: str) -> set[int]:
    """Returns the processes that run this program."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit() and program(int(entry)) == path}


def pss_mb(pids: Iterable[int]) -> float:
    """Returns the proportional memory: pages that processes share count once."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def switches(pids: Iterable[int]) -> dict[tuple[int, int], int]:
    """Returns the context switches of each thread so far, each of which is a wake-up before."""
    found = {}
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            lines = [line for line in text.splitlines() if "ctxt_switches" in line]
            found[pid, int(status.parent.name)] = sum(int(line.split()[1]) for line in lines)
    return found


def fresh_switches(before: dict[tuple[int, int], int], now: dict[tuple[int, int], int]) -> int:
    """Returns the switches between two looks. A thread that began in between counts from 0; what one
    that ended did in its last moments is not known."""
    return sum(count - before.get(thread, 0) for thread, count in now.items())


def send(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


def end(process: subprocess.Popen[bytes], grace_s: float = 10) -> None:
    """Ends a process that this program started: SIGTERM, then SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class TimedOut(Exception):
    """A condition did not become true in time."""


def until(what: str, condition: Callable[[], object], limit_s: float, every_s: float = 0.005) -> None:
    """Polls a condition of another process, for which there is no event."""
    give_up = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > give_up:
            raise TimedOut(f"{what}: not after {limit_s:.0f} s")
        time.sleep(every_s)
