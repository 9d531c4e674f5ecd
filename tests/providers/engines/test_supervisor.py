"""The supervisor: a killed engine comes back, a hopeless one is named, and none outlives its parent."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tiffin.providers.engines import supervisor as module
from tiffin.providers.engines.minilm import EmbeddingModel
from tiffin.providers.engines.specs import chat_engine, embed_engine
from tiffin.providers.engines.supervisor import Endpoint, EngineDown, EngineSpec, Supervisor

from .conftest import ROOT

READY = 'import sys, time; print(\'{"ready": true, "port": 1}\', flush=True);'


def script(name: str, code: str, **settings: float) -> EngineSpec:
    return EngineSpec(name, (sys.executable, "-c", code), **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def supervising(folder: Path, *specs: EngineSpec) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(specs, folder / "logs")
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.aclose()


async def until(supervisor: Supervisor, name: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until an engine's status is as wanted; the supervisor has no event for that, callers only want endpoints."""
    async with asyncio.timeout(30):
        while not wanted(supervisor.status()[name]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def status_of(endpoint: Endpoint, key: str) -> int:
    """The HTTP status of GET /v1/models, asked by hand."""
    port = int(endpoint.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_both_engines_start_and_come_back_after_a_kill(
    gguf: Path, minilm: EmbeddingModel, tmp_path: Path
) -> None:
    specs = (chat_engine("chat", gguf, context_tokens=512), embed_engine("embed", minilm.folder))
    async with supervising(tmp_path, *specs) as supervisor:
        await asyncio.gather(*(supervisor.ready(spec.name) for spec in specs))
        for name in ("chat", "embed"):
            before = await supervisor.endpoint(name)
            assert await status_of(before, before.api_key) == 200
            pid = supervisor.status()[name]["pid"]
            os.kill(pid, signal.SIGKILL)
            await until(supervisor, name, lambda status, pid=pid: status["pid"] != pid)
            begun = time.monotonic()
            after = await supervisor.endpoint(name)
            assert time.monotonic() - begun < 15  # about 1 s on an idle machine
            assert after.api_key != before.api_key
            assert await status_of(after, after.api_key) == 200
            assert supervisor.status()[name] | {"uptime_s": 0, "pid": 0} == {
                "state": "ready",
                "pid": 0,
                "restarts": 1,
                "uptime_s": 0,
                "last_error": "it was killed by SIGKILL",
            }
        pids = [engine["pid"] for engine in supervisor.status().values()]
    assert not any(map(alive, pids))


async def test_an_engine_that_keeps_failing_is_named_with_its_last_words(tmp_path: Path) -> None:
    specs = (
        script("talks", "import sys; sys.exit('the weights are damaged')"),
        EngineSpec("absent", (str(tmp_path / "no-such-program"),)),
    )
    async with supervising(tmp_path, *specs) as supervisor:
        with pytest.raises(EngineDown, match="status 1: the weights are damaged"):
            await supervisor.endpoint("talks")
        with pytest.raises(EngineDown, match="could not be started"):
            await supervisor.endpoint("absent")
        assert supervisor.status()["talks"]["state"] == "failed"
    assert "the weights are damaged" in (tmp_path / "logs" / "talks.log").read_text()


async def test_a_failed_engine_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILED_RETRY_S", 0.5)
    mended = tmp_path / "mended"
    code = f"import os, sys; os.path.exists({str(mended)!r}) or sys.exit('not yet');{READY} time.sleep(60)"
    async with supervising(tmp_path, script("late", code)) as supervisor:
        with pytest.raises(EngineDown, match="not yet"):
            await supervisor.endpoint("late")
        mended.touch()
        await until(supervisor, "late", lambda status: status["state"] == "ready")
        assert (await supervisor.endpoint("late")).url == "http://127.0.0.1:1"


async def test_one_that_never_gets_ready_is_stopped_and_counted(tmp_path: Path) -> None:
    spec = script("stuck", "import time; time.sleep(60)", ready_timeout_s=0.3)
    async with supervising(tmp_path, spec) as supervisor:
        with pytest.raises(EngineDown, match="not ready within"):
            await supervisor.ready("stuck")
        await until(supervisor, "stuck", lambda status: status["restarts"] > 0)
        assert "not ready within 0 s" in (supervisor.status()["stuck"]["last_error"] or "")


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERM_GRACE_S", 0.3)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "time.sleep(60)"
    async with supervising(tmp_path, script("deaf", code)) as supervisor:
        await supervisor.ready("deaf")
        pid = supervisor.status()["deaf"]["pid"]
    assert not alive(pid)


async def test_engines_come_and_go(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        with pytest.raises(EngineDown, match="no engine one"):
            await supervisor.endpoint("one")
        await supervisor.add(script("one", READY + "time.sleep(60)"))
        with pytest.raises(ValueError, match="already"):
            await supervisor.add(script("one", "pass"))
        await supervisor.ready("one")
        pid = supervisor.status()["one"]["pid"]
        waiting = asyncio.create_task(supervisor.endpoint("one"))
        assert await waiting
        await supervisor.remove("one")
        await supervisor.remove("one")
        assert supervisor.status() == {}
        assert not alive(pid)


async def test_who_waits_while_it_is_removed_is_told(tmp_path: Path) -> None:
    async with supervising(tmp_path, script("slow", "import time; time.sleep(60)")) as supervisor:
        waiting = asyncio.create_task(supervisor.endpoint("slow"))
        await asyncio.sleep(0.3)
        await supervisor.remove("slow")
        with pytest.raises(EngineDown, match="stopped"):
            await waiting


async def test_a_noisy_engine_is_read_and_its_log_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES_MAX", 200_000)
    noise = "[print('x' * 999, file=f) for _ in range(1000) for f in (sys.stderr, sys.stdout)];"
    code = "import sys; print('x' * 300_000);" + READY + noise + "sys.stdout.flush(); sys.exit(3)"
    async with supervising(tmp_path, script("noisy", code)) as supervisor:
        await until(supervisor, "noisy", lambda status: status["restarts"] > 0)
        assert supervisor.status()["noisy"]["last_error"].startswith("it ended with status 3: xxx")
    sizes = [path.stat().st_size for path in (tmp_path / "logs").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 200_000


async def test_a_full_disk_costs_log_lines_only(tmp_path: Path) -> None:
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = "import sys; print('y' * 5000, file=sys.stderr, flush=True);" + READY + "time.sleep(60)"
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        async with supervising(tmp_path, script("one", code)) as supervisor:
            await supervisor.ready("one")
            assert supervisor.status()["one"]["restarts"] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)


async def test_engines_see_their_key_but_not_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    seen = tmp_path / "seen"
    code = f"import os; open({str(seen)!r}, 'w').write(str(dict(os.environ)));" + READY + "time.sleep(60)"
    async with supervising(tmp_path, script("one", code)) as supervisor:
        endpoint = await supervisor.endpoint("one")
        command = Path(f"/proc/{supervisor.status()['one']['pid']}/cmdline").read_text()
    assert endpoint.api_key in seen.read_text()
    assert "secret" not in seen.read_text()
    assert endpoint.api_key not in command
    assert endpoint.api_key not in repr(endpoint)


def test_engines_die_with_a_killed_supervisor(gguf: Path, minilm: EmbeddingModel, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tiffin.providers.engines.specs import chat_engine, embed_engine\n"
        "from tiffin.providers.engines.supervisor import Supervisor\n"
        "async def main():\n"
        "    gguf, folder, logs = map(Path, sys.argv[1:])\n"
        "    s = Supervisor([chat_engine('c', gguf, context_tokens=512), embed_engine('e', folder)], logs)\n"
        "    await s.start(); await s.ready('c'); await s.ready('e')\n"
        "    print(*(e['pid'] for e in s.status().values()), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(gguf), str(minilm.folder), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))
