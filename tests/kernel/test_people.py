"""A grant can only be narrowed, whatever is done to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.people import ApiKey, Caller, Grant

ALICE = Caller("key_1", "Alice", "p", "admin")
names = st.frozensets(st.sampled_from("abcd"))
maybe = st.none() | names
grants = st.builds(Grant, st.just(ALICE), names, maybe, maybe)


def allows(outer: frozenset[str] | None, inner: frozenset[str] | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def within(outer: Grant, inner: Grant) -> bool:
    sets = allows(outer.models, inner.models) and allows(outer.collections, inner.collections)
    return inner.operations <= outer.operations and sets


@given(grants, maybe, maybe, maybe)
def test_narrowing_allows_nothing_new(grant: Grant, operations, models, collections) -> None:
    narrowed = grant.narrow(operations=operations, models=models, collections=collections)
    assert within(grant, narrowed)
    assert allows(operations, narrowed.operations) and allows(models, narrowed.models)


@given(grants, grants)
def test_a_grant_inside_another_is_within_both_and_one_level_deeper(inner: Grant, outer: Grant) -> None:
    nested = inner.within(outer)
    assert within(inner, nested) and within(outer, nested) and nested.depth == outer.depth + 1


def test_a_key_hides_itself_but_not_whom_it_is_about() -> None:
    key = ApiKey("tfn_secret", ("p-17",))
    assert "secret" not in f"{key} {key!r} {[key]}"
