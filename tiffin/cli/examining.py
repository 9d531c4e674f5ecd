"""The examinations of `tiffin doctor` that need heavier parts of the house."""

from __future__ import annotations

from tiffin.config import Settings
from tiffin.kernel.errors import PlatformError
from tiffin.providers.catalogue import Model
from tiffin.providers.engines.sources import DigestMismatch, ModelSource, SourceError, fetch
from tiffin.store.check import check
from tiffin.store.database import Database


def model_problem(model: Model, where: Settings) -> str | None:
    """Why the weights of a model cannot be used, in words; they are hashed anew."""
    try:
        fetch(ModelSource.parse(model.source), sha256=model.sha256, store=where.models, verify=True)
    except (SourceError, DigestMismatch) as error:
        return str(error)
    return None


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
