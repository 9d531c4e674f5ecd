"""The language engine's process: llama.cpp's own OpenAI-compatible server on loopback, with settings that replay.

`python -m tiffin.providers.engines.llama --model FILE --port N --api-key-env VAR`, and `--help` for the rest.

One request at a time unless told otherwise: with two slots, 1 of 24, 4 of 24 and 4 of 16 greedy answers (batches of
2048, 256, 64) were not those that the same prompts got alone; with one slot, 0 of 16. More throughput with the
same answers is more processes. The caller sends `cache_prompt: false` for what must replay.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import xllamacpp

from tiffin.providers.engines import process

BATCH_TOKENS = 256  # prompt tokens between two looks at whether the caller is still there: about 1.5 s on one core
HTTP_THREADS = 32  # connections answered at once: the one that runs, those that wait their turn, and health checks
SOCKET_TIMEOUT_S = 600  # seconds a silent peer is kept; the longest answer fits
CONTEXT_TOKENS = 8192  # tokens, prompt and answer, a request: what the default model was trained for
LOG_WARNINGS = 2  # llama.cpp's verbosity: errors and warnings


def main(arguments: list[str] | None = None) -> None:
    """Load the model, announce the port on stdout, and serve until SIGTERM or the parent's death."""
    process.die_with_parent()
    options = _parser().parse_args(arguments)
    api_key = process.take_secret(options.api_key_env)
    if not options.model.is_file():
        process.refuse(f"{options.model} is not a file")
    try:
        server = xllamacpp.Server(_parameters(options, api_key))
    except Exception as error:  # converted: the binding raises bare RuntimeErrors, and the reason belongs on stderr
        process.refuse(f"llama.cpp cannot serve {options.model.name}: {error}")
    process.stop_on_sigterm()
    process.announce_ready(options.port)
    while server is not None:
        signal.pause()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tiffin.providers.engines.llama", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--api-key-env", required=True, metavar="VAR", help="environment variable with the API key")
    parser.add_argument("--alias", default=None, help="the model's name in answers; else the file's name")
    parser.add_argument("--ctx", type=int, default=CONTEXT_TOKENS, help="tokens of context a request")
    parser.add_argument("--parallel", type=int, default=1, help="requests answered at once; above 1 greedy text varies")
    parser.add_argument("--threads", type=int, default=1, help="threads; never more than idle cores, they wait in step")
    return parser


def _parameters(options: argparse.Namespace, api_key: str) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias or options.model.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.reuse_port = True  # the supervisor holds the port until we listen
    params.api_keys = [api_key]
    params.cors_origins = ""  # no web page has business here
    params.n_threads_http = HTTP_THREADS
    params.timeout_read = params.timeout_write = SOCKET_TIMEOUT_S
    params.n_ctx = options.ctx * options.parallel
    params.n_parallel = options.parallel
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cache_ram_mib = 0  # kept prompts would cost up to 8 GB and change greedy text
    params.cache_idle_slots = False
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = options.threads
        pool.poll = 0  # sleep, not spin, between steps: the cores are shared with the gateway
    params.fit_params = False  # the settings above are meant
    params.offline = True
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.verbosity = LOG_WARNINGS
    return params


if __name__ == "__main__":
    main()
