"""Installs each system into an environment of its own, with exact versions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


class Environment:
    """A folder that holds what one system needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_complete(self, wanted: str) -> bool:
        mark = self.folder / "complete"
        return mark.exists() and mark.read_text() == digest(wanted)

    def begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def finish(self, wanted: str) -> None:
        (self.folder / "complete").write_text(digest(wanted))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Python(Environment):
    """A virtual environment of Python."""

    def install(self, requirements: list[str]) -> None:
        wanted = "\n".join(requirements)
        if self.is_complete(wanted):
            return
        self.begin()
        subprocess.run([sys.executable, "-m", "venv", self.folder / "venv"], check=True)
        command = [self.program("pip"), "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(command, check=True)
        self.finish(wanted)

    def program(self, name: str) -> str:
        return str(self.folder / "venv" / "bin" / name)

    def versions(self, packages: list[str]) -> dict[str, str]:
        code = "import sys, importlib.metadata as m; print(sys.version.split()[0], *map(m.version, sys.argv[1:]))"
        command = [self.program("python"), "-c", code, *packages]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return dict(zip(["python", *packages], found))


class Node(Environment):
    """A folder of node_modules, with its own Node.js from the package `node`."""

    def install(self, packages: dict[str, str]) -> None:
        wanted = json.dumps({"private": True, "dependencies": packages})
        if self.is_complete(wanted):
            return
        self.begin()
        (self.folder / "package.json").write_text(wanted)
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is missing: apt-get install npm")
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], check=True, cwd=self.folder)
        self.finish(wanted)

    def node(self) -> str:
        return str(self.folder / "node_modules" / "node" / "bin" / "node")

    def copy(self, sources: list[Path]) -> None:
        """Copies programs into the folder: an import is resolved from the place of its file."""
        for source in sources:
            shutil.copy(source, self.folder / source.name)

    def versions(self, packages: list[str]) -> dict[str, str]:
        found = {
            "node": subprocess.run(
                [self.node(), "--version"], capture_output=True, text=True, check=True
            ).stdout.strip()
        }
        for package in packages:
            manifest = self.folder / "node_modules" / package / "package.json"
            found[package] = json.loads(manifest.read_text())["version"]
        return found


class Cargo(Environment):
    """A release build of a Rust program."""

    def install(self, source: Path) -> None:
        wanted = "".join(
            path.read_text() for path in sorted(source.rglob("*")) if path.is_file() and "target" not in path.parts
        )
        if self.is_complete(wanted):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.which("cargo") is None:
            raise RuntimeError("cargo is missing: install the Rust toolchain")
        environment = {**os.environ, "CARGO_TARGET_DIR": str(self.folder / "target")}
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], check=True, cwd=source, env=environment)
        self.finish(wanted)

    def program(self, name: str) -> str:
        return str(self.folder / "target" / "release" / name)
