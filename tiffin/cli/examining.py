"""The examinations of `tiffin doctor` that need heavier parts of the house. They download nothing and write nothing."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from tiffin.config import Settings
from tiffin.kernel.errors import PlatformError
from tiffin.providers.catalogue import BUILT_IN, Model
from tiffin.providers.engines.sources import ModelSource, SourceError
from tiffin.providers.engines.staging import file_sha256
from tiffin.store import models as added
from tiffin.store.check import check
from tiffin.store.database import Database


def models(where: Settings) -> list[Model]:
    """Those that come with Tiffin, and those that were added to this home."""
    try:
        database = Database.open(where.database, readonly=True)
    except PlatformError:  # none yet, or a damaged one: another check says so
        return list(BUILT_IN)
    try:
        with database.read() as connection:
            rows = added.listed(connection)
    finally:
        database.close()
    return [*BUILT_IN, *(Model(m.alias, "chat", m.source, m.sha256, m.context_tokens, "openai_chat") for m in rows)]


def model_problem(model: Model, where: Settings) -> str | None:
    """Why the weights of a model cannot be used, in words; they are hashed anew."""
    try:
        path = _place(model, where)
        if path is None:
            return f"its weights are not here ({model.source})"
        found = file_sha256(path)
    except (SourceError, OSError) as error:
        return f"its weights cannot be read: {error}"
    if found != model.sha256:
        return f"{path} has another digest than the pinned one: {found[:12]}… instead of {model.sha256[:12]}…"
    return None


def _place(model: Model, where: Settings) -> Path | None:
    source = ModelSource.parse(model.source)
    places = [where.models / model.sha256 / source.name]
    if source.kind == "file":
        places = [Path(source.path)]
    elif source.kind == "pypi":
        try:
            package = metadata.distribution(source.origin)
        except metadata.PackageNotFoundError:
            pass
        else:
            if source.version in ("", package.version):
                places.insert(0, Path(str(package.locate_file(source.path))))
    return next((place for place in places if place.is_file()), None)


def database_problems(where: Settings) -> list[str]:
    try:
        database = Database.open(where.database, readonly=True)
    except PlatformError as error:
        return [error.message]
    try:
        return check(database)
    except PlatformError as error:
        return [error.message]
    finally:
        database.close()
