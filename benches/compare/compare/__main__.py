"""The command line: `python3 -m compare` installs, measures and writes the tables."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path

from . import systems, table, trials
from .runner import Runner, build_scanner
from .system import PROFILES, SOURCES
from .systems.kastrel import Kastrel, KastrelServers
from .trial import Sizes

ROOT = SOURCES.parent.parent


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--systems", type=listed, help="names, separated by commas (default: all)")
    parser.add_argument("--tests", type=listed, help="T1,T2,… (default: all)")
    parser.add_argument("--profiles", type=listed, default=list(PROFILES), help="no-loss,defaults (default: both)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each test (default: 3)")
    parser.add_argument("--slots", type=int, default=4, help="concurrent jobs (default: 4)")
    parser.add_argument(
        "--histories",
        type=lambda text: [int(part) for part in listed(text)],
        default=[100_000, 1_000_000],
        help="finished jobs of T9 (default: 100000,1000000)",
    )
    for size in fields(Sizes):
        if size.name != "history":
            option = f"--{size.name.replace('_', '-')}"
            parser.add_argument(option, type=type(size.default), default=size.default, help=f"default: {size.default}")
    parser.add_argument("--kastrel", type=Path, default=ROOT / "target/release/kastrel", help="the program under test")
    parser.add_argument(
        "--surreal-server",
        type=Path,
        default=ROOT / "target/release/examples/surreal-server",
        help="the database server of Kastrel's processes on several machines",
    )
    parser.add_argument("--work", type=Path, default=cache / "kastrel-compare", help="environments and results")
    parser.add_argument("--data", type=Path, default=Path("/var/tmp"), help="folder of the servers' data, on a disk")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the rounds")
    parser.add_argument("--install-only", action="store_true", help="install, and measure nothing")
    parser.add_argument("--list", action="store_true", help="list systems and tests")
    parser.add_argument(
        "--table", type=Path, help="write the tables of this file of results again, and measure nothing"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    return parser.parse_args()


def chosen(what: str, wanted: list[str] | None, known: dict) -> list:
    unknown = [name for name in wanted or [] if name not in known]
    if unknown:
        sys.exit(f"unknown {what}: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [value for name, value in known.items() if wanted is None or name in wanted]


def write(run: dict, options: argparse.Namespace) -> None:
    text = table.report(run, trials.ALL)
    print("\n" + text)
    if options.write:
        document = ROOT / "docs" / "benchmarks.md"
        document.write_text(table.replace(document.read_text(), text))
        print(f"written to {document}")


def main() -> None:
    # The servers and workers of a round end with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    if options.list:
        print("systems:", ", ".join(system.name for system in systems.ALL))
        print("tests:", ", ".join(f"{trial.NAME} ({trial.TITLE})" for trial in trials.ALL))
        return
    if options.table is not None:
        write(json.loads(options.table.read_text()), options)
        return
    Kastrel.program = options.kastrel.resolve()
    KastrelServers.database_program = options.surreal_server.resolve()
    chosen_trials = chosen("tests", options.tests, {trial.NAME: trial for trial in trials.ALL})
    chosen_profiles = chosen("profiles", options.profiles, {name: name for name in PROFILES})
    options.work.mkdir(parents=True, exist_ok=True)
    environments = options.work.resolve() / "environments"
    ready = []
    for system in chosen("systems", options.systems, {system.name: system for system in systems.ALL}):
        profiles = [profile for profile in chosen_profiles if profile in system.profiles]
        try:
            for profile in profiles:
                one = system(environments, profile)
                one.install()
                ready.append(one)
                print(f"{one.name} ({profile}): {', '.join(f'{name} {at}' for name, at in one.versions().items())}")
                print("".join(f"    {line}\n" for line in one.settings()), end="", flush=True)
        except Exception as error:
            # The others can be measured, and the tables do not show a system that was not.
            print(f"{system.name} is left out: {error}", file=sys.stderr, flush=True)
    if options.install_only:
        return
    sizes = Sizes(**{size.name: getattr(options, size.name) for size in fields(Sizes) if size.name != "history"})
    scanner = build_scanner(options.work.resolve())
    runner = Runner(scanner, options.data.resolve(), options.slots, sizes, options.work.resolve() / "results")
    runner.all(ready, chosen_trials, options.rounds, options.histories, options.keep)
    print(f"results: {runner.output}")
    write(runner.run, options)


if __name__ == "__main__":
    main()
