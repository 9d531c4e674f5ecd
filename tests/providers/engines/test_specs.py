"""How the default engines are started here."""

from __future__ import annotations

from pathlib import Path

from tiffin.providers.engines.specs import chat_engine, cores, embed_engine


def test_a_language_engine_leaves_a_core_to_the_rest() -> None:
    argv = chat_engine("small", Path("m.gguf"), context_tokens=4096).argv
    settings = dict(zip(argv[argv.index("--port") :: 2], argv[argv.index("--port") + 1 :: 2], strict=True))
    assert 1 <= int(settings["--threads"]) <= max(1, cores() - 1)
    assert settings["--ctx"] == "4096"
    assert settings["--alias"] == "small"
    assert settings["--port"] == "{port}"
    assert Path(settings["--model"]).is_absolute()


def test_an_embedding_engine_uses_every_core() -> None:
    argv = embed_engine("embed", Path("folder")).argv
    assert argv[argv.index("--threads") + 1] == str(cores())
    assert embed_engine("embed", Path("folder"), threads=3).argv[-1] == "3"


def test_engines_import_nothing_from_where_the_server_was_started() -> None:
    assert "-P" in embed_engine("embed", Path("folder")).argv
