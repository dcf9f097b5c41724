"""Runs Kastrel in real containers: `make compose-test`. Needs root, dockerd, the compose plugin and
debootstrap, which `scripts/dependencies containers` installs. See docs/operations.md."""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import cases
import images
from engine import Engine, Failed
from stack import Stack


def arguments():
    parser = argparse.ArgumentParser(prog="make compose-test", description="Runs Kastrel in real containers.")
    parser.add_argument("--programs", type=Path, default=images.REPOSITORY / "target/debug",
                        help="the folder with `kastrel` and `examples/surreal-server`")
    parser.add_argument("--only", help="run these checks alone, separated by commas; `image`, `start` and `access` "
                        f"come before most others: {', '.join(case.__name__ for case in cases.CASES)}")
    return parser.parse_args()


def main():
    given = arguments()
    wanted = [case for case in cases.CASES if not given.only or case.__name__ in given.only.split(",")]
    cache = Path(subprocess.run([images.REPOSITORY / "scripts/dependencies", "containers-folder"], check=True,
                                stdout=subprocess.PIPE, text=True).stdout.strip())
    cache.mkdir(parents=True, exist_ok=True)
    lock = open(cache / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another run uses the same folder")
    # A signal ends the test as an error does, so that everything is removed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    engine = Engine(cache / "engine", cache / "cli-plugins")
    passed, begun, stack = 0, time.monotonic(), None
    try:
        print("starting a Docker Engine", flush=True)
        engine.start()
        contexts = cache / "contexts"
        images.contexts(contexts, given.programs)
        stack = Stack(engine, contexts)
        print("building the images", flush=True)
        images.build(stack, cache)
        print(f"built after {time.monotonic() - begun:.0f} s", flush=True)
        for case in wanted:
            print(f"{case.__name__}: {case.__doc__}", flush=True)
            since = time.monotonic()
            case(stack)
            passed += 1
            print(f"  {time.monotonic() - since:.0f} s", flush=True)
    except (Failed, KeyboardInterrupt) as failure:
        print(f"FAILED: {failure or 'interrupted'}", flush=True)
        show(stack, cache)
    except Exception:
        traceback.print_exc()
        show(stack, cache)
    finally:
        engine.stop()
    left = engine.processes()
    if left:
        print(f"FAILED: processes are left: {left}")
    print(f"{passed} of {len(wanted)} groups of checks passed in {time.monotonic() - begun:.0f} s")
    sys.exit(0 if passed == len(wanted) and not left else 1)


def show(stack, cache):
    """Keeps the logs of the containers, and prints their states."""
    if stack is None:
        return
    try:
        folder = cache / "logs"
        folder.mkdir(exist_ok=True)
        print(stack.compose("ps", "--all", check=False).stdout)
        for service in ["web", "worker", "redis", "surrealdb", "site"]:
            (folder / f"{service}.log").write_text(stack.compose("logs", "--timestamps", service, check=False).stdout)
        print(f"the logs of the containers are in {folder}")
    except (Failed, OSError) as failure:
        print(f"no logs: {failure}")


if __name__ == "__main__":
    main()
