"""Models that were added to this home: an alias, where the weights come from, and the SHA-256 that pins them."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert

from tiffin.store.database import Database, metadata

models = Table(
    "models",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("kind", Text),
    Column("source", Text),
    Column("sha256", Text),
    Column("context_tokens", Integer),
    Column("created_ns", BigInteger),
)


class AddedModel(Struct, frozen=True):
    alias: str
    kind: str
    source: str
    sha256: str
    context_tokens: int
    created_ns: int


def add(database: Database, model: AddedModel) -> bool:
    """Durable on return. False when the alias is taken: then nothing was changed."""
    row = {name: getattr(model, name) for name in model.__struct_fields__}
    with database.write() as connection:
        return connection.execute(insert(models).values(row).on_conflict_do_nothing()).rowcount == 1


def remove(database: Database, alias: str) -> bool:
    with database.write() as connection:
        return connection.execute(delete(models).where(models.c.alias == alias)).rowcount == 1


def listed(connection: Connection) -> list[AddedModel]:
    return [AddedModel(**row._mapping) for row in connection.execute(select(models).order_by(models.c.alias))]
