"""Tile paths, widths and bundles as C2SP writes them, and the growing edge against the definition of a tile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.ledger.errors import LedgerDamaged
from tiffin.ledger.tiles import (
    Edge,
    Tile,
    TileName,
    grow,
    hash_reader,
    load_edge,
    number_path,
    pack_bundle,
    parse_tile_path,
    read_bundle,
    read_cut,
    unpack_bundle,
    width_at,
)
from tiffin.ledger.tree import inclusion_proof, leaf_hash, root_of, tree_root, verify_inclusion

# tessera, api/layout/paths_test.go (Apache-2.0), and the specification's own examples
PATHS = {
    "tile/15/x455/667": TileName(15, 455667),
    "tile/15/x123/x456/789.p/41": TileName(15, 123456789, 41),
    "tile/entries/001.p/1": TileName(None, 1, 1),
    "tile/0/000": TileName(0, 0),
    "tile/63/x001/x234/067": TileName(63, 1234067),
    "tile/entries/x001/x234/067.p/255": TileName(None, 1234067, 255),
}
NO_PATHS = [
    "", "tile", "tile/0", "tile/0/0", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0000", "tile/0/x000/000",
    "tile/0/001/002", "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p",
    "/tile/0/000", "tile/0/000/", "tile/entries", "tile/data/000", "tile/0/../000", "tile/entries/../../log.json",
    "tile/0/０００", "tile/0/000\n",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_published_paths(path: str) -> None:
    assert parse_tile_path(path) == PATHS[path]
    assert PATHS[path].path == path


@pytest.mark.parametrize("path", NO_PATHS)
def test_what_is_no_path(path: str) -> None:
    assert parse_tile_path(path) is None


@given(st.none() | st.integers(0, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_paths_survive_rendering(level: int | None, number: int, width: int) -> None:
    name = TileName(level, number, width)
    assert parse_tile_path(name.path) == name


@given(st.text(alphabet="tile/0123456789x.pentries-", max_size=40))
def test_only_one_spelling_of_a_path(path: str) -> None:
    name = parse_tile_path(path)
    assert name is None or name.path == path


def test_the_specifications_widths() -> None:
    assert width_at(TileName(0, 272), 70_000) == 256
    assert width_at(TileName(0, 273), 70_000) == 112
    assert width_at(TileName(1, 0), 70_000) == 256
    assert width_at(TileName(1, 1), 70_000) == 17
    assert width_at(TileName(2, 0), 70_000) == 1
    assert (width_at(TileName(0, 1), 256), width_at(TileName(1, 0), 256)) == (0, 1)
    assert number_path(1234067) == "x001/x234/067"
    with pytest.raises(ValueError, match="not negative"):
        number_path(-1)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_survive_packing(entries: list[bytes]) -> None:
    data = pack_bundle(entries)
    assert unpack_bundle(data) == entries
    for count in range(len(entries) + 1):
        assert unpack_bundle(data, count) == entries[:count]
    assert read_bundle(data, len(entries) + 1)[1]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_bundle_in_one_way_or_not_at_all(data: bytes) -> None:
    entries, fault = read_bundle(data)
    assert fault or pack_bundle(entries) == data


@given(st.lists(st.integers(0, 700), max_size=6))
def test_growing_in_steps_is_growing_at_once(steps: list[int]) -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(sum(steps))]
    edge, files, start = Edge(), {}, 0
    for step in steps:
        edge, tiles = grow(edge, leaves[start : start + step])
        files.update({tile.name: tile.hashes for tile in tiles})
        start += step
    at_once, tiles = grow(Edge(), leaves)
    assert edge.root() == at_once.root() == root_of(leaves)
    assert all(files[tile.name] == tile.hashes for tile in tiles)


def test_tiles_are_what_the_specification_defines(tmp_path: Path) -> None:
    """Hash i of tile n of level l is MTH over 256**l leaves, in a tree of three levels; proofs come out of them."""
    size = 70_000
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    edge, tiles = grow(Edge(), leaves)
    names = {tile.name.path for tile in tiles}
    assert len([tile for tile in tiles if tile.name.level == 0]) == 274
    assert {"tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} <= names
    for tile in tiles[:: len(tiles) // 40] + tiles[-4:]:
        span = 256**tile.name.level
        first = tile.name.number * 256
        expected = [root_of(leaves[i * span : (i + 1) * span]) for i in range(first, first + tile.name.width)]
        assert tile.hashes == b"".join(expected), tile.name
    write(tmp_path, tiles)
    assert load_edge(tmp_path, size, "x") == edge and edge.root() == root_of(leaves)
    reader = hash_reader(lambda name: read_cut(tmp_path, name), size)
    assert tree_root(size, reader) == edge.root()
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        verify_inclusion(index, size, leaves[index], inclusion_proof(index, size, reader), edge.root())


def test_narrower_tiles_are_cut_from_wider_ones(tmp_path: Path) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(9)]
    write(tmp_path, grow(Edge(), leaves)[1])
    assert read_cut(tmp_path, TileName(0, 0, 5)) == b"".join(leaves[:5])
    assert read_cut(tmp_path, TileName(0, 0, 10)) is None
    assert read_cut(tmp_path, TileName(0, 1, 1)) is None
    (tmp_path / "tile/entries/000.p").mkdir(parents=True)
    (tmp_path / "tile/entries/000.p/3").write_bytes(pack_bundle([b"a", b"bb", b""]))
    assert read_cut(tmp_path, TileName(None, 0, 2)) == pack_bundle([b"a", b"bb"])
    (tmp_path / "tile/entries/000.p/3").write_bytes(b"\0")
    assert read_cut(tmp_path, TileName(None, 0, 2)) is None
    with pytest.raises(LedgerDamaged):
        load_edge(tmp_path, 10, "x")


def write(folder: Path, tiles: list[Tile]) -> None:
    for tile in tiles:
        path = folder / tile.name.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile.hashes)
