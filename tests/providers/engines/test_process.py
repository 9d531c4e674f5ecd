"""What engines do alike: the parent's death is noticed even if it came before they looked."""

from __future__ import annotations

import os
import subprocess
import sys

from tiffin.providers.engines.process import BAD_START, PARENT_VARIABLE

from .conftest import ROOT


def start(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from tiffin.providers.engines import process; {code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_parent_that_is_gone_already_ends_the_process() -> None:
    done = start("process.die_with_parent(); print('alive')", **{PARENT_VARIABLE: "1"})
    assert (done.returncode, done.stdout) == (0, "")


def test_lives_with_its_parent_and_without_one_announced() -> None:
    assert start("process.die_with_parent(); print('alive')", **{PARENT_VARIABLE: str(os.getpid())}).stdout == "alive\n"
    assert start("process.die_with_parent(); print('alive')").stdout == "alive\n"


def test_a_secret_is_taken_once() -> None:
    done = start("import os; print(process.take_secret('K'), 'K' in os.environ)", K="s")
    assert done.stdout == "s False\n"
    refused = start("process.take_secret('K')")
    assert refused.returncode == BAD_START
    assert "K must hold" in refused.stderr


def test_ready_is_one_json_line() -> None:
    assert start("process.announce_ready(8)").stdout == '{"ready": true, "port": 8}\n'
