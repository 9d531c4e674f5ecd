"""The error tree is whole, and what it shows is safe to show."""

from __future__ import annotations

import pytest

from tiffin.kernel import errors
from tiffin.kernel.errors import CallerError, TiffinError, every_kind


def test_the_tree_drawn_at_the_top_names_every_class_and_no_other() -> None:
    assert errors.__doc__ is not None
    drawn = {
        word for line in errors.__doc__.splitlines() for word in line.replace("│", " ").replace("├──", " ").split()
    }
    ours = {kind for kind in every_kind() if kind.__module__ == errors.__name__}
    assert {kind.__name__ for kind in ours} <= drawn


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_every_error_says_whose_fault_it_is_and_starts_without_a_receipt(kind: type[TiffinError]) -> None:
    error = kind("It is so.", hint="Do that.", field="x")
    assert (error.message, error.hint, error.field, error.receipt) == ("It is so.", "Do that.", "x", None)
    assert error.fault in ("caller", "guard", "provider", "platform")
    assert (error.fault == "caller") == issubclass(kind, CallerError)
    assert error.kind and error.kind.islower()
