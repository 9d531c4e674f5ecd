"""The command that the installation writes starts wherever the checkout lies; pip's wall of text becomes one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import install

PIP_SAYS = """\
Collecting aiohttp==3.14.5 (from -r requirements.lock (line 3))
  Downloading aiohttp-3.14.5-cp311-cp311-manylinux_2_28_x86_64.whl (1.7 MB)
Requirement already satisfied: numpy==2.4.6 in ./.venv/lib/python3.11/site-packages
Ignoring colorama: markers 'sys_platform == "win32"' don't match your environment
Installing collected packages: aiohttp
Successfully installed aiohttp-3.14.5
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "a place with spaces" / ("long" * 40)
    cli = root / "tiffin" / "cli"
    cli.mkdir(parents=True)
    (root / "tiffin" / "__init__.py").touch()
    (cli / "__init__.py").write_text("import sys\n\ndef main():\n    print(sys.argv[1:])\n    return 3\n")
    for name, value in (("ROOT", root), ("VENV", root / ".venv"), ("PYTHON", root / ".venv" / "bin" / "python")):
        monkeypatch.setattr(install, name, value)
    monkeypatch.setattr(install, "HALF", root / ".venv" / "half-installed")
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", root / ".venv"), check=True)
    return root


def test_the_command_starts_from_a_long_path_with_spaces(checkout: Path, tmp_path: Path) -> None:
    install._link()
    link = tmp_path / "tiffin"
    link.symlink_to(checkout / ".venv" / "bin" / "tiffin")
    for command in (checkout / ".venv" / "bin" / "tiffin", link):
        done = subprocess.run((command, "ask", "what is it?"), cwd="/", capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("['ask', 'what is it?']\n", 3), done.stderr


def test_an_environment_that_was_left_half_unpacked_is_not_used(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "pip.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    assert install._usable()
    install.HALF.touch()
    assert not install._usable()


def test_progress_is_one_line_where_the_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = install.Progress("libraries", 3)
    for line in PIP_SAYS.splitlines(keepends=True):
        progress.see(line)
    progress.end()
    said = capsys.readouterr().out
    assert said.startswith("tiffin: libraries (3):") and said.endswith(" s\n") and said.count("\n") == 1
    assert progress.done == 3


def test_a_lock_that_cannot_be_installed_says_why_and_what_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "some.lock").write_text("nothing-of-that-name==1\n", encoding="utf-8")
    monkeypatch.setattr(install, "PIP", (sys.executable, "-m", "pip", "--isolated", "--no-cache-dir"))
    monkeypatch.setattr(install, "FROM_LOCK", ("--no-index", "--require-hashes"))
    with pytest.raises(install.Failed, match=r"pip could not install some\.lock(.|\n)*PIP_INDEX_URL"):
        install._install("tools", "some.lock")
    assert "failed" in capsys.readouterr().out
    assert not install.HALF.exists()
