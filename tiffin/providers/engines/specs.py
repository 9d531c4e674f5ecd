"""How the engines that come with Tiffin are started on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tiffin
from tiffin.providers.engines.supervisor import EngineSpec

KEY_VARIABLE = "TIFFIN_ENGINE_KEY"
CORES_FOR_THE_REST = 1  # cores a language engine leaves to the gateway: its threads wait for each other at every step,
# and a busy core stops them all (two threads on two cores, one of them busy: 15 tokens/s; one thread: 70)
CHAT_THREADS_MAX = 8  # threads; small models gain nothing beyond, they are bound by memory


def chat_engine(name: str, weights: Path, *, context_tokens: int, threads: int | None = None) -> EngineSpec:
    """llama.cpp on one GGUF file, one request at a time. More at a time with the same answers: more engines."""
    threads = threads or min(CHAT_THREADS_MAX, max(1, cores() - CORES_FOR_THE_REST))
    settings = ("--alias", name, "--ctx", str(context_tokens), "--threads", str(threads))
    return _spec(name, "llama", weights, settings)


def embed_engine(name: str, folder: Path, *, threads: int | None = None) -> EngineSpec:
    """ONNX Runtime on a converted embedding model. Its threads do not wait for each other, so it may use every core."""
    return _spec(name, "embed", folder, ("--threads", str(threads or cores())))


def cores() -> int:
    """Cores this process may use: its affinity, and the control group's quota where there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such control group, or no quota ("max")
        return allowed


def _spec(name: str, module: str, model: Path, settings: tuple[str, ...]) -> EngineSpec:
    # -P: never import from the folder that the server happens to be started in. Our own code's folder is named instead.
    command = (sys.executable, "-P", "-m", f"tiffin.providers.engines.{module}", "--port", "{port}")
    return EngineSpec(
        name,
        (*command, "--model", str(model.absolute()), "--api-key-env", KEY_VARIABLE, *settings),
        env={"PYTHONPATH": str(Path(tiffin.__file__).parent.parent), "OMP_NUM_THREADS": "1"},
        key_variable=KEY_VARIABLE,
    )
