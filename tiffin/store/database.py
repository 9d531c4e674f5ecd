"""One SQL database with many readers and one writer at a time; opening it brings its schema up to date.

Embedded SQLite in WAL mode with `synchronous=FULL`: when `with database.write()` has ended, its changes survive a
power cut. `secure_delete` overwrites what is deleted; `scrub` then empties the log of old pages, so that no deleted
byte stays in the files.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from tiffin.kernel.errors import PlatformError
from tiffin.store.migrations import FOLDER, revisions

BUSY_MS_MAX = 10_000  # milliseconds to wait for another process's write; a commit takes some milliseconds
READERS_MAX = 16  # connections kept open; searches are CPU-bound, so more would only queue elsewhere
READER_WAIT_S_MAX = 30.0  # seconds to wait for one of them
CACHE_KIB = 16_384  # KiB of page cache a connection: the upper levels of a collection of 100k chunks

metadata = MetaData()


class DatabaseUnusable(PlatformError):
    """The file cannot be opened, or its schema is not one that this code knows."""


class DatabaseBusy(PlatformError):
    """Another process kept the database locked for longer than the bound; nothing was written."""

    retryable = True


class DatabaseFull(PlatformError):
    """The disk took no more; nothing was written."""

    retryable = True


@dataclass(frozen=True)
class Database:
    """Blocking: call it from a worker thread (`asyncio.to_thread`), not from the event loop."""

    path: Path
    readonly: bool
    _engine: Engine = field(repr=False)
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, location: Path | str, *, readonly: bool = False) -> Database:
        """Opens, and creates or upgrades. An upgrade first copies the file beside itself (see `copies`).

        `location` is a path or a `sqlite:///` URL. `readonly` neither creates nor upgrades. Raises DatabaseUnusable.
        """
        path = _path_of(location)
        database = cls(path, readonly, _engine(path, readonly=readonly))
        try:
            if readonly:
                _must_exist(path)
            else:
                _create_private(path)
            database._bring_up_to_date()
        except (DatabaseError, OSError) as error:
            database.close()
            raise DatabaseUnusable(
                f"The database {path.name} cannot be used: {getattr(error, 'orig', None) or error}.",
                hint=f"Look at the file and its rights: {path}. `tiffin doctor` says more.",
            ) from error
        except BaseException:
            database.close()
            raise
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot, whatever is written meanwhile."""
        with _explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, or none of it if the block raises."""
        with _explained(), self._writing, self._engine.connect() as plain:
            connection = plain.execution_options(tiffin_begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def scrub(self) -> bool:
        """After a deletion: no deleted byte stays in the database, its log, or the copies made by upgrades.

        False if a reader kept old pages alive for longer than BUSY_MS_MAX; the next scrub or a restart completes it.
        """
        for copy in self.copies():
            copy.unlink(missing_ok=True)
        with self._writing, contextlib.closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
            cursor.close()
            return row is not None and not row[0]

    def copies(self) -> tuple[Path, ...]:
        """What upgrades have set aside, oldest first. They hold everything that the database held then."""
        return tuple(sorted(self.path.parent.glob(f"{self.path.name}.before-*")))

    def revision(self) -> str | None:
        """The schema's revision; None in a new file."""
        with self._engine.connect() as connection, connection.begin():
            return _revision(connection)

    def close(self) -> None:
        """Closes all connections; the last one to close folds the log into the file."""
        self._engine.dispose()

    def _bring_up_to_date(self) -> None:
        known, stored = revisions(), self.revision()
        if stored == known[-1]:
            return
        if stored is not None and stored not in known:
            raise DatabaseUnusable(
                f"The database {self.path.name} has revision {stored}, of a newer Tiffin; this one knows {known[-1]}.",
                hint="Run the newer version, or restore the copy that its upgrade made.",
            )
        if self.readonly:
            raise DatabaseUnusable(
                f"The database {self.path.name} has revision {stored}; this version needs {known[-1]}.",
                hint="Start the server once (`tiffin up`): it upgrades the database.",
            )
        if stored is not None:
            self._copy(f"{self.path.name}.before-{known[-1]}")
        with self.write() as connection:
            if _revision(connection) != known[-1]:  # another process may have upgraded it meanwhile
                _upgrade(connection)

    def _copy(self, name: str) -> None:
        """A consistent copy, log included, durable before its name appears."""
        unfinished = self.path.with_name(f".{name}.{os.getpid()}")
        try:
            _create_private(unfinished)
            with (
                contextlib.closing(self._engine.raw_connection()) as source,
                contextlib.closing(sqlite3.connect(unfinished)) as target,
            ):
                source.driver_connection.backup(target)  # type: ignore[union-attr]
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(self.path.with_name(name))
            _sync_folder(self.path.parent)
        finally:
            unfinished.unlink(missing_ok=True)


def _path_of(location: Path | str) -> Path:
    if isinstance(location, Path):
        return location
    scheme, separator, rest = location.partition("://")
    if not separator:
        return Path(location)
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
        raise DatabaseUnusable(
            f"The database URL starts with {scheme}:, which this version does not speak.",
            hint="Give a path, or a URL like sqlite:///relative/tiffin.db or sqlite:////absolute/tiffin.db.",
        )
    return Path(rest.removeprefix("/"))


def _engine(path: Path, *, readonly: bool) -> Engine:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS_MAX / 1000
        )
        try:
            if not readonly:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(
                "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
                f"PRAGMA cache_size=-{CACHE_KIB};"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_timeout=READER_WAIT_S_MAX,
        hide_parameters=True,  # they hold what people wrote, and errors go into the server's log
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("tiffin_begin", "BEGIN"))

    return engine


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DatabaseUnusable(
            f"There is no database at {path}.", hint="Start the server once (`tiffin up`), or set TIFFIN_HOME."
        )


def _create_private(path: Path) -> None:
    """An empty file that only its owner reads; the database's logs inherit these rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _revision(connection: Connection) -> str | None:
    named = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first() if named else None
    return None if found is None else str(found[0])


def _upgrade(connection: Connection) -> None:
    """All missing steps inside the caller's transaction."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, script, fn=lambda stored, _: script._upgrade_revs("head", stored)) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """The driver's failures that are nobody's bug, in our error tree; the others stay what they are."""
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig)
        if "full" in reason or "disk I/O" in reason:
            raise DatabaseFull(
                f"The disk that holds the database takes no more ({reason}); nothing was changed.",
                hint="Free some space. `tiffin doctor` shows how much there is.",
            ) from error
        if "locked" in reason or "busy" in reason:
            raise DatabaseBusy(
                "The database was busy for too long; nothing was changed.", hint="Try again in a moment."
            ) from error
        raise
