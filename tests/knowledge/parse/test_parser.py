"""The confined process: what happens when files, children, the zygote or the gateway itself misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.knowledge.parse import hostile
from tiffin.knowledge.parse import Parsed, Parser, ParserUnavailable, Refused
from tiffin.knowledge.parse.limits import MIB
from tiffin.knowledge.parse.messages import Done
from tiffin.knowledge.parse.parser import judge

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).resolve().parents[3]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def _until(condition: object, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        await asyncio.sleep(0.02)
    return False


async def _slow_file(folder: Path) -> Path:
    path = folder / "slow.pdf"
    path.write_bytes(hostile.nested_forms_pdf())  # some seconds until its child runs out of memory
    return path


async def test_many_callers_at_once_each_get_their_own_file(parser: Parser, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(40)]
    for n, path in enumerate(paths):
        path.write_text(f"This is file {n}.")
    results = await asyncio.gather(*(parser.parse(path, path.name) for path in paths))
    assert [r.text for r in results if isinstance(r, Parsed)] == [f"This is file {n}." for n in range(40)]


async def test_name_decides_nothing_about_the_path(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "upload-7").write_bytes(b"a,b,c\n1,2,3\n")
    result = await parser.parse(tmp_path / "upload-7", "table.csv")
    assert isinstance(result, Parsed) and result.kind == "csv"


async def test_path_that_does_not_exist_is_the_callers_error(parser: Parser, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await parser.parse(tmp_path / "nowhere.pdf", "nowhere.pdf")


async def test_pipes_folders_and_empty_files_are_refused_without_waiting(parser: Parser, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nothing.pdf").touch()
    assert await parser.parse(tmp_path / "pipe", "pipe.txt") == Refused("unsupported", "The path is not a file.")
    assert await parser.parse(tmp_path, "folder") == Refused("unsupported", "The path is not a file.")
    assert await parser.parse(tmp_path / "nothing.pdf", "n.pdf") == Refused("empty", "The file is empty.")


async def test_file_beyond_the_size_limit_is_refused_unread(parser: Parser, tmp_path: Path) -> None:
    with (tmp_path / "huge.pdf").open("wb") as file:
        file.truncate(257 * MIB)
    result = await parser.parse(tmp_path / "huge.pdf", "huge.pdf")
    assert isinstance(result, Refused) and result.reason == "too_large"


async def test_cancelling_a_caller_kills_the_child_and_frees_its_place(parser: Parser, tmp_path: Path) -> None:
    slow = await _slow_file(tmp_path)
    assert parser._link is not None
    zygote = parser._link.pid
    waiting = [asyncio.create_task(parser.parse(slow, "slow.pdf")) for _ in range(2)]
    assert await _until(lambda: len(_children(zygote)) == 2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await _until(lambda: not _children(zygote), 3.0)
    (tmp_path / "next.txt").write_text("next")
    assert isinstance(await parser.parse(tmp_path / "next.txt", "next.txt"), Parsed)


async def test_bombs_side_by_side_harm_no_other_file(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "bomb.pdf").write_bytes(hostile.text_bomb_pdf(30))
    (tmp_path / "good.txt").write_text("good")
    results = await asyncio.gather(
        *(parser.parse(tmp_path / name, name) for name in ("bomb.pdf", "good.txt", "good.txt", "good.txt"))
    )
    assert isinstance(results[0], Refused) and results[0].reason == "out_of_memory"
    assert all(isinstance(result, Parsed) for result in results[1:])


async def test_children_hold_no_secret_no_network_and_no_other_file(parser: Parser) -> None:
    assert parser._link is not None
    zygote = parser._link.pid
    environment = Path(f"/proc/{zygote}/environ").read_bytes()
    assert b"KEY" not in environment and b"TOKEN" not in environment
    if "network" in parser.confinement:
        routes = Path(f"/proc/{zygote}/net/dev").read_text()
        assert "eth0" not in routes
    threads = len(list(Path(f"/proc/{zygote}/task").iterdir()))
    assert threads == 1  # fork and PDEATHSIG are only safe with one


async def test_zygote_that_dies_is_replaced_and_the_file_tried_again(tmp_path: Path) -> None:
    slow = await _slow_file(tmp_path)
    async with Parser() as parser:
        assert parser._link is not None
        first = parser._link.pid
        task = asyncio.create_task(parser.parse(slow, "slow.pdf"))
        assert await _until(lambda: _children(first))
        child = _children(first)[0]
        os.kill(first, signal.SIGKILL)
        assert await _until(lambda: not _alive(child)), "the child outlived its zygote"
        result = await task
        assert isinstance(result, Refused) and result.reason == "out_of_memory"
        assert parser._link is not None and parser._link.pid != first


async def test_zygote_that_dies_for_ever_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    parser = Parser()
    with pytest.raises(ParserUnavailable):
        for _ in range(7):
            await parser.start()
            assert parser._link is not None
            os.kill(parser._link.pid, signal.SIGKILL)
            await _until(lambda: parser._link is not None and not parser._link.alive)
    await parser.aclose()


async def test_closed_parser_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    parser = Parser()
    await parser.start()
    assert parser._link is not None
    zygote = parser._link.pid
    await parser.aclose()
    assert not _alive(zygote)
    with pytest.raises(ParserUnavailable):
        await parser.parse(tmp_path / "a.txt", "a.txt")


_GATEWAY = """
import asyncio, sys
from pathlib import Path
from tiffin.knowledge.parse import Parser
async def main():
    async with Parser() as parser:
        print(parser._link.pid, flush=True)
        await parser.parse(Path(sys.argv[1]), "slow.pdf")
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_gateway_killed_with_force_takes_zygote_and_children_along(tmp_path: Path) -> None:
    slow = await _slow_file(tmp_path)
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _GATEWAY, str(slow), stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert gateway.stdout is not None
    try:
        zygote = int(await gateway.stdout.readline())
        assert await _until(lambda: _children(zygote))
        child = _children(zygote)[0]
        gateway.kill()
        await gateway.wait()
        assert await _until(lambda: not _alive(zygote) and not _alive(child), 5.0)
    finally:
        if gateway.returncode is None:
            gateway.kill()
            await gateway.wait()


@pytest.mark.parametrize(
    ("signal_number", "timed_out", "peak", "said", "reason"),
    [
        (signal.SIGKILL, True, 10, "", "took_too_long"),
        (signal.SIGXCPU, False, 10, "", "took_too_long"),
        (signal.SIGKILL, False, 10, "", "out_of_memory"),
        (signal.SIGABRT, False, 10, "memory allocation of 9 bytes failed", "out_of_memory"),
        (signal.SIGABRT, False, 400 * MIB, "", "out_of_memory"),
        (signal.SIGSEGV, False, 50 * MIB, "", "corrupt"),
    ],
)
async def test_how_a_child_died_is_told_in_plain_words(
    signal_number: int, timed_out: bool, peak: int, said: str, reason: str
) -> None:
    done = Done(1, True, -1, signal_number, timed_out, peak, 1.0, said)
    refused = judge(done, 512 * MIB)
    assert refused is not None and refused.reason == reason and refused.detail.endswith(".")
