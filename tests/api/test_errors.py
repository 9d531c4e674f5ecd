"""Every kind of error has a status, and what a client needs to go on."""

from __future__ import annotations

import pytest

from tiffin.api.errors import STATUS, headers_of, status_of
from tiffin.kernel.errors import TiffinError, every_kind
from tiffin.store import database  # its errors are part of the tree

KINDS = every_kind()


def test_the_table_is_complete_and_holds_nothing_else() -> None:
    assert database.DatabaseFull in KINDS
    assert {kind.kind for kind in KINDS} == set(STATUS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_status_tells_whose_fault_it_is(kind: type[TiffinError]) -> None:
    error = kind("It is so.")
    assert (status_of(error) < 500) == (error.fault in ("caller", "guard"))
    headers = headers_of(error)
    assert ("retry-after" in headers) == (status_of(error) in (429, 503))
    assert ("www-authenticate" in headers) == (status_of(error) == 401)
    assert "tiffin-receipt" not in headers
    error.receipt = "r"
    assert headers_of(error)["tiffin-receipt"] == "r"
