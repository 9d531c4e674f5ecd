"""What the README and the guides tell people to type works as written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RECEIPTS = (ROOT / "docs" / "receipts.md").read_text()
DOSE = "The maximum daily dose of brinsidine is 80 mg."


def blocks(text: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(server: Server, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of a guide: `tiffin …` or `python …`, in a folder that has `docs` beside it."""
    words = shlex.split(line)
    program = [sys.executable, "-m", "tiffin.cli"] if words[0].endswith("tiffin") else [sys.executable]
    environment = server.variables | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_python_example_prints_a_cited_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(README, "python")
    server.add("sample", leaflet=DOSE)
    key = str(server.home / "admin.key")
    exec(example.replace("http://127.0.0.1:8420", server.url).replace(".tiffin/admin.key", key), {})
    assert "80 mg" in capsys.readouterr().out


def test_the_readmes_commands_work(server: Server, tmp_path: Path) -> None:
    (block,) = [block for block in blocks(README) if "tiffin ingest" in block]
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "safety.md").write_text(
        "# Safety\n\nA serious adverse event must be reported to the sponsor within 24 hours.\n"
    )
    for line in block.strip().splitlines():
        done = run(server, line.replace("~/protocols", "protocols"), tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert "✓" in done.stdout


def test_the_guide_to_receipts_works(server: Server, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    server.add("guide", leaflet=DOSE)
    asked = {"collection": "guide", "question": "What is the maximum daily dose of brinsidine?"}
    receipt = server.call("POST", "/api/v1/ask", asked).receipt
    for line in "".join(blocks(RECEIPTS)).splitlines():
        line = re.sub(r"receipts \S+ --save", f"receipts {receipt} --save", line)
        line = line.replace("/media/safe", str(tmp_path / "safe"))
        if "$(cat audit/vkey.txt)" in line:
            line = line.replace("$(cat audit/vkey.txt)", (tmp_path / "audit" / "vkey.txt").read_text().strip())
        done = run(server, line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_every_setting_is_documented() -> None:
    source = "".join(file.read_text() for file in (ROOT / "tiffin").rglob("*.py"))
    read = set(re.findall(r"TIFFIN_[A-Z_]+", source)) - {"TIFFIN_ENGINE_KEY", "TIFFIN_ENGINE_PARENT"}
    assert read - set(re.findall(r"TIFFIN_[A-Z_]+", README)) == set()
