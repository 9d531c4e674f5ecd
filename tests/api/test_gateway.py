"""Who asks, and whom a call is about, out of a request's headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request

from tests.kernel.fakes import FakeJournal, world
from tiffin.api.gateway import SUBJECTS_MAX, Gateway, secret, subjects
from tiffin.kernel.calls import Chat
from tiffin.kernel.errors import Invalid, NotFound, Unauthenticated
from tiffin.kernel.limits import SUBJECT_CHARS_MAX
from tiffin.kernel.parts import message

HELLO = Chat("m", (message("user", "hi"),))
JOURNAL = FakeJournal()


def request(**headers: str | bytes) -> Request:
    sent = [(k.replace("_", "-").encode(), v if isinstance(v, bytes) else v.encode()) for k, v in headers.items()]
    return Request(
        {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": sent, "server": ("h", 1)}
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(world(journal=FakeJournal()), (), dict, lambda: 1, tmp_path, None)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER abc def", "abc def"),
        ("Basic abc", ""),
        ("abc", ""),
        ("Bearer", ""),
        ("", ""),
        (b"Bearer \xff\xfe", "ÿþ"),
    ],
)
def test_the_key_is_what_follows_bearer(header: str | bytes, key: str) -> None:
    assert secret(request(authorization=header)) == key


@pytest.mark.parametrize(
    ("header", "people"),
    [
        ("", ()),
        (" , ,", ()),
        ("p-17", ("p-17",)),
        ("p-17, p-18,p-17", ("p-17", "p-18")),
        ("Zoë Müller,山田", ("Zoë Müller", "山田")),
        ("Zoë".encode("latin-1"), ("Zoë",)),
        (",".join(f"p{n}" for n in range(SUBJECTS_MAX)), tuple(f"p{n}" for n in range(SUBJECTS_MAX))),
    ],
)
def test_people_are_named_as_documents_name_them(header: str | bytes, people: tuple[str, ...]) -> None:
    assert subjects(request(tiffin_subject=header)) == people


@pytest.mark.parametrize("header", [",".join(f"p{n}" for n in range(SUBJECTS_MAX + 1)), "x" * (SUBJECT_CHARS_MAX + 1)])
async def test_nobody_is_left_out_or_shortened_in_silence(gateway: Gateway, header: str) -> None:
    asked = request(authorization="Bearer good", tiffin_subject=header)
    with pytest.raises(Invalid) as raised:
        await gateway.collect(HELLO, asked)
    (receipt,) = gateway.world.journal.closed  # type: ignore[attr-defined]
    assert (raised.value.receipt, receipt.outcome) == (receipt.id, "refused") and raised.value.field == "tiffin-subject"


async def test_a_call_is_about_the_people_of_its_header(gateway: Gateway) -> None:
    receipt_id, events = await gateway.collect(HELLO, request(authorization="Bearer good", tiffin_subject="jane"))
    (receipt,) = gateway.world.journal.closed  # type: ignore[attr-defined]
    assert receipt.subjects == ("jane",) and receipt.id == receipt_id and len(events) == 4


async def test_a_refusal_is_recorded_for_who_is_known_and_tells_a_stranger_nothing(gateway: Gateway) -> None:
    missing = NotFound("There is no such thing.")
    assert await gateway.refuse(missing, request(authorization="Bearer good")) is missing and missing.receipt
    told = await gateway.refuse(NotFound("There is no such thing."), request(authorization="Bearer bad"))
    assert isinstance(told, Unauthenticated) and told.receipt is None
    assert len(gateway.world.journal.closed) == 1  # type: ignore[attr-defined]
    assert [gateway.knows(request(authorization=f"Bearer {key}")) for key in ("good", "bad", "")] == [
        True,
        False,
        False,
    ]
