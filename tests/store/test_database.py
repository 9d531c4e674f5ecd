"""The database file: durable, private, consistent under threads, upgraded with a copy, refused when it is not ours."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

from tiffin.store import database as database_module
from tiffin.store import migrations
from tiffin.store.database import Database, DatabaseFull, DatabaseUnusable, metadata

INSERT = (
    "INSERT INTO collections (project, name, created_ns, updated_ns, generation, purged) VALUES ('p', ?, 1, 1, 0, 0)"
)
NAMES = "SELECT name FROM collections ORDER BY name"


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in connection.exec_driver_sql(NAMES)]


def test_a_new_file_is_private_and_has_the_newest_schema(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "deep" / "tiffin.db")
    assert database.revision() == migrations.revisions()[-1]
    assert (tmp_path / "deep" / "tiffin.db").stat().st_mode & 0o777 == 0o600
    assert database.copies() == ()
    with database.read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS]
    assert pragmas == list(PRAGMAS.values())
    database.close()


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_the_tables_in_code_are_those_that_the_migrations_make(tmp_path: Path) -> None:
    import pkgutil

    from tiffin import store

    for module in pkgutil.iter_modules(store.__path__):
        __import__(f"tiffin.store.{module.name}")
    database = Database.open(tmp_path / "tiffin.db")
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    assert [d[0] for d in differences if d[0] in ("add_table", "remove_table", "add_column", "remove_column")] == []
    assert [d for d in differences if "version" in str(d) or "chunk" in str(d) or "collection" in str(d)] == []
    database.close()


def test_the_migrations_are_one_line_in_the_order_of_their_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == migrations.revisions()


def test_opening_a_current_database_does_not_import_alembic(tmp_path: Path) -> None:
    Database.open(tmp_path / "tiffin.db").close()
    script = (
        "import sys; from pathlib import Path; from tiffin.store.database import Database;"
        "Database.open(Path(sys.argv[1])).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "tiffin.db")], check=True)


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tiffin.db")
    with pytest.raises(KeyError), database.write() as connection:
        connection.exec_driver_sql(INSERT, ("lost",))
        raise KeyError
    with database.write() as connection:
        connection.exec_driver_sql(INSERT, ("kept",))
    assert names(database) == ["kept"]
    database.close()


def test_a_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tiffin.db")
    with database.read() as connection:
        assert connection.exec_driver_sql(NAMES).all() == []
        with database.write() as writer:
            writer.exec_driver_sql(INSERT, ("new",))
        assert connection.exec_driver_sql(NAMES).all() == []
    assert names(database) == ["new"]
    database.close()


def test_many_threads_write_and_none_is_lost(tmp_path: Path) -> None:
    databases = [Database.open(tmp_path / "tiffin.db") for _ in range(2)]  # as two processes would

    def work(number: int) -> None:
        for index in range(10):
            with databases[number % 2].write() as connection:
                connection.exec_driver_sql(INSERT, (f"{number}-{index}",))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(databases[0])) == 80
    for database in databases:
        database.close()


def test_a_readonly_database_is_read_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="no database"):
        Database.open(tmp_path / "tiffin.db", readonly=True)
    assert not (tmp_path / "tiffin.db").exists()
    writer = Database.open(tmp_path / "tiffin.db")
    with writer.write() as connection:
        connection.exec_driver_sql(INSERT, ("one",))
    reader = Database.open(tmp_path / "tiffin.db", readonly=True)
    assert names(reader) == ["one"]
    with pytest.raises(Exception, match="readonly"), reader.write() as connection:
        connection.exec_driver_sql(INSERT, ("two",))
    writer.close()
    assert names(reader) == ["one"]
    reader.close()


def test_a_url_names_the_file_and_another_engine_is_refused(tmp_path: Path) -> None:
    Database.open(f"sqlite:///{tmp_path}/by-url.db").close()
    assert (tmp_path / "by-url.db").exists()
    with pytest.raises(DatabaseUnusable, match="postgresql"):
        Database.open("postgresql:///tiffin")


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tiffin.db").write_bytes(content)
    with pytest.raises(DatabaseUnusable):
        Database.open(tmp_path / "tiffin.db")
    assert (tmp_path / "tiffin.db").read_bytes() == content


def test_a_newer_database_is_refused_with_a_reason(tmp_path: Path) -> None:
    Database.open(tmp_path / "tiffin.db").close()
    with sqlite3.connect(tmp_path / "tiffin.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for readonly in (True, False):
        with pytest.raises(DatabaseUnusable, match="newer"):
            Database.open(tmp_path / "tiffin.db", readonly=readonly)


def test_an_upgrade_keeps_the_data_and_sets_a_copy_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_one_more = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER / "versions", with_one_more / "versions")
    last = migrations.revisions()[-1]
    (with_one_more / "versions" / "9000_more.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision = '9000', '{last}'\n"
        "def upgrade():\n    op.create_table('more', sa.Column('id', sa.Integer, primary_key=True))\n"
    )
    database = Database.open(tmp_path / "tiffin.db")
    with database.write() as connection:
        connection.exec_driver_sql(INSERT, ("kept",))
    # not closed: what is still in its log must be in the copy too

    monkeypatch.setattr(database_module, "FOLDER", with_one_more)
    monkeypatch.setattr(database_module, "revisions", lambda: (*migrations.revisions(), "9000"))
    with pytest.raises(DatabaseUnusable, match="needs"):
        Database.open(tmp_path / "tiffin.db", readonly=True)
    upgraded = Database.open(tmp_path / "tiffin.db")
    assert upgraded.revision() == "9000"
    assert names(upgraded) == ["kept"]
    (copy,) = upgraded.copies()
    assert copy.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    old = Database.open(copy)
    assert names(old) == ["kept"]
    for one in (database, upgraded, old):
        one.close()


def test_a_failing_upgrade_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER / "versions", broken / "versions")
    (broken / "versions" / "9000_broken.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = '9000', '{migrations.revisions()[-1]}'\n"
        "def upgrade():\n    op.execute('DROP TABLE vectors')\n    op.execute('NOT SQL')\n"
    )
    database = Database.open(tmp_path / "tiffin.db")
    monkeypatch.setattr(database_module, "FOLDER", broken)
    monkeypatch.setattr(database_module, "revisions", lambda: (*migrations.revisions(), "9000"))
    with pytest.raises(DatabaseUnusable):
        Database.open(tmp_path / "tiffin.db")
    with database.read() as connection:
        reflected = MetaData()
        reflected.reflect(connection)
    assert "vectors" in reflected.tables
    assert database.revision() == migrations.revisions()[-1]
    database.close()


def test_deleted_bytes_are_gone_after_a_scrub(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tiffin.db")
    (tmp_path / "tiffin.db.before-0001").write_bytes(b"an old copy with the-secret in it")
    with database.write() as connection:
        connection.exec_driver_sql(INSERT, ("the-secret",))
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM collections")
    assert database.scrub()
    assert not any(b"the-secret" in file.read_bytes() for file in tmp_path.iterdir())
    assert database.copies() == ()
    database.close()


def test_a_scrub_says_when_a_reader_was_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_MS_MAX", 50)
    database = Database.open(tmp_path / "tiffin.db")
    with database.write() as connection:
        connection.exec_driver_sql(INSERT, ("one",))
    with database.read() as reader:
        reader.exec_driver_sql(NAMES).all()
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM collections")
        assert not database.scrub()
    assert database.scrub()
    database.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from tiffin.store.database import Database, DatabaseFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database.open(Path(sys.argv[1]))
insert = sys.argv[2]
with database.write() as connection:
    connection.exec_driver_sql(insert, ("before",))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, -1))
try:
    with database.write() as connection:
        for number in range(200):
            connection.exec_driver_sql(insert, ("x" * 5000 + str(number),))
except DatabaseFull as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
with database.write() as connection:
    connection.exec_driver_sql(insert, ("after",))
database.close()
"""


def test_a_full_disk_is_said_in_words_and_loses_only_that_transaction(tmp_path: Path) -> None:
    run = [sys.executable, "-W", "error", "-c", FULL, str(tmp_path / "tiffin.db"), INSERT]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    assert "takes no more" in done.stdout
    database = Database.open(tmp_path / "tiffin.db")
    assert names(database) == ["after", "before"]
    database.close()
    assert DatabaseFull.retryable
