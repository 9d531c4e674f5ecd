"""After many mixed calls the ledger verifies; after any change to it, it does not, and `tiffin verify` says where.

TIFFIN_CALLS sets the number of calls (`make soak`: 1,000); the test suite makes fewer.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server import Server, free_port

CALLS = int(os.environ.get("TIFFIN_CALLS", "150"))
FLIPS = 40
pytestmark = pytest.mark.timeout(120 + CALLS)  # seconds; the first test waits for all calls


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A home that has seen many calls of every kind, the refused ones among them, and was stopped."""
    server = Server(tmp_path_factory.mktemp("tamper") / "home", free_port())
    server.start()
    server.add("lake", first="The heron stands in the reeds at dawn.")
    hello = [{"role": "user", "content": "hi"}]
    kinds = (
        lambda i: server.call("POST", "/v1/chat/completions", {"model": "default", "messages": hello, "max_tokens": 2}),
        lambda i: server.call("POST", "/v1/embeddings", {"model": "minilm", "input": f"heron {i}"}),
        lambda i: server.call("POST", "/api/v1/search", {"collection": "lake", "query": f"heron {i}"}),
        lambda i: server.call("POST", "/api/v1/ask", {"collection": "lake", "question": "Where does the heron stand?"}),
        lambda i: server.add("lake", **{f"d{i}": f"Heron number {i} eats {i} fish."}),
        lambda i: server.call("POST", "/v1/chat/completions", {"model": "nobody", "messages": hello}),
        lambda i: server.call("GET", "/api/v1/collections"),
    )
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: kinds[i % len(kinds)](i), range(CALLS)))
    assert all(answer.receipt for answer in answers)
    server.stop()
    return server


def verified(server: Server, home: Path) -> tuple[bool, list[dict[str, object]]]:
    report = Server(home, server.port).cli("verify", "--json")
    assert report.returncode in (0, 1), report.stderr
    answer = json.loads(report.stdout)
    assert answer["ok"] == (report.returncode == 0)
    return answer["ok"], answer["problems"]


@pytest.fixture
def copy(used: Server, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(used.home, home, ignore=shutil.ignore_patterns("models"))
    return home


def bundle(home: Path, kind: str) -> Path:
    """The fullest file of a kind: `entries` or `vault`."""
    files = [f for f in (home / "ledger").rglob("*") if f.is_file() and kind in str(f.relative_to(home))]
    return max(files, key=lambda f: f.stat().st_size)


def test_an_untouched_ledger_verifies(used: Server, copy: Path) -> None:
    assert verified(used, copy) == (True, [])


@pytest.mark.timeout(120 + CALLS + FLIPS * 4)
def test_any_flipped_byte_is_found(used: Server, copy: Path) -> None:
    chance = random.Random(7)
    files = [f for f in (copy / "ledger").rglob("*") if f.is_file() and f.stat().st_size]
    for turn in range(FLIPS):
        file = files[turn % len(files)]
        whole = file.read_bytes()
        at = chance.randrange(len(whole))
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        ok, problems = verified(used, copy)
        assert not ok and problems and all(p["log"] == "main" and p["what"] for p in problems), (file, at)
        file.write_bytes(whole)
    assert verified(used, copy)[0]


def test_two_swapped_entries_are_found_and_named(used: Server, copy: Path) -> None:
    file = bundle(copy, "entries")
    entries, data = [], file.read_bytes()
    while data:
        size = int.from_bytes(data[:2])
        entries.append(data[: size + 2])
        data = data[size + 2 :]
    entries[3], entries[5] = entries[5], entries[3]
    file.write_bytes(b"".join(entries))
    ok, problems = verified(used, copy)
    assert not ok and {3, 5} & {p["index"] % 256 for p in problems if p["index"] is not None}


def test_an_edited_payload_is_found_and_named(used: Server, copy: Path) -> None:
    file = bundle(copy, "vault")
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 255
    file.write_bytes(whole)
    ok, problems = verified(used, copy)
    assert not ok and any(isinstance(p["index"], int) for p in problems)


def test_a_ledger_put_back_to_an_older_state_is_found(used: Server, copy: Path, tmp_path: Path) -> None:
    """The whole home, replaced by a copy from earlier: consistent in itself, but not with what was verified since."""
    earlier = tmp_path / "earlier"
    shutil.copytree(copy / "ledger", earlier)
    server = Server(copy, free_port())
    shutil.copytree(used.home / "models", copy / "models")
    server.start()
    server.call("GET", "/api/v1/collections")
    server.stop()
    kept = server.cli("verify", "--save-checkpoint", str(tmp_path / "safe"), "--json")
    assert kept.returncode == 0, kept.stdout
    shutil.rmtree(copy / "ledger")
    shutil.move(earlier, copy / "ledger")
    ok, problems = verified(used, copy)
    assert not ok and problems
    shutil.rmtree(copy / "verified")
    assert verified(used, copy)[0], "in itself the old copy is sound"
    against = server.cli("verify", "--checkpoint", str(tmp_path / "safe" / "main.checkpoint"), "--json")
    assert against.returncode == 1 and json.loads(against.stdout)["problems"]
