"""The images. No registry is needed: the base comes from debootstrap, and the images of the compose
file that are not Kastrel's are built on it, under the names of the compose file."""

import os
import shutil
import subprocess
from pathlib import Path

from engine import Failed

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SUITE = "bookworm"


def base_archive(cache):
    """Returns an archive of a Debian root, made once."""
    archive = cache / f"{SUITE}.tar"
    if archive.exists():
        return archive
    print(f"making the base image of Debian {SUITE}", flush=True)
    root = cache / "root.new"
    remove_root(root)
    try:
        made = subprocess.run(["debootstrap", "--variant=minbase", SUITE, root], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            raise Failed(f"debootstrap ended with {made.returncode}: {made.stdout[-2000:]}")
        new = archive.with_suffix(".new")
        subprocess.run(["tar", "--directory", root, "--one-file-system", "--exclude=./var/cache/apt/archives/*.deb",
                        "--exclude=./var/lib/apt/lists/*_*", "--create", "--file", new, "."], check=True)
        new.rename(archive)
    finally:
        remove_root(root)
    return archive


def remove_root(root):
    # debootstrap mounts file systems of the kernel there.
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{root}/"):
            subprocess.run(["umount", line.split()[1]], check=True)
    shutil.rmtree(root, ignore_errors=True)


def place(program, target):
    """Copies a program without its debug information, which is most of a debug build."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not program.is_file():
        raise Failed(f"{program} is missing: build it, or name another folder by --programs")
    stripped = shutil.which("strip") and subprocess.run(["strip", "-o", target, program], check=False).returncode == 0
    if not stripped:
        shutil.copyfile(program, target)
    os.chmod(target, 0o755)


def contexts(folder, programs):
    """Makes the build contexts: what the repository admits, without the sources, and the programs."""
    shutil.rmtree(folder, ignore_errors=True)
    kastrel, surrealdb = folder / "kastrel", folder / "surrealdb"
    (kastrel / "config").mkdir(parents=True)
    for name in ["Dockerfile", ".dockerignore"]:
        shutil.copy(REPOSITORY / name, kastrel)
    shutil.copytree(REPOSITORY / "config/container", kastrel / "config/container")
    place(programs / "kastrel", kastrel / "dist/kastrel")
    surrealdb.mkdir()
    shutil.copy(HERE / "surrealdb.Dockerfile", surrealdb / "Dockerfile")
    place(programs / "examples/surreal-server", surrealdb / "surreal")


def build(stack, cache):
    """Builds the images of the services."""
    engine = stack.engine
    base = stack.config["services"]["web"]["build"]["args"]["BASE"]
    if not engine.ids("image", base):
        engine.docker("import", base_archive(cache), base)
    stack.compose("build", "redis", "surrealdb", "site", "web", timeout=3600)
