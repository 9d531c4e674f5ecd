"""However a command fails, it leaves in the form that was asked for, with a code that scripts can tell apart."""

from __future__ import annotations

import json

import pytest
import typer

from tiffin.cli.show import FAILED, INTERRUPTED, NO, OK, USAGE, Failure, document, escaped, failures
from tiffin.config import BadSetting
from tiffin.kernel.errors import Bug, NotFound


def left_with(error: BaseException, as_json: bool) -> int:
    with pytest.raises(typer.Exit) as ended, failures(as_json):
        raise error
    return int(ended.value.exit_code)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Failure("It is so.", hint="Do that.", code=NO, kind="refused"), NO, "refused"),
        (Failure("It is so."), FAILED, "failed"),
        (BadSetting("TIFFIN_PORT is 'x'."), USAGE, "usage"),
        (NotFound("There is no such thing."), NO, "not_found"),
        (Bug("Tiffin failed."), FAILED, "internal_error"),
        (PermissionError(13, "Permission denied", "/some/file"), FAILED, "failed"),
        (ZeroDivisionError("our fault"), FAILED, "internal_error"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), FAILED, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_failure_is_one_document_or_words(
    error: Exception, code: int, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_with(error, as_json=True) == code
    shown = json.loads(capsys.readouterr().out)
    assert shown["error"]["type"] == kind and shown["error"]["message"].endswith(".") and shown["receipt"] is None
    assert left_with(error, as_json=False) == code
    said = capsys.readouterr()
    assert said.out == "" and "✗" in said.err
    assert ("Traceback" in said.err) == (kind == "internal_error" and not isinstance(error, Bug))


def test_an_exit_keeps_its_code_and_ctrl_c_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert left_with(typer.Exit(NO), as_json=True) == NO
    assert left_with(KeyboardInterrupt(), as_json=True) == INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_a_receipt_is_told_with_its_failure(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("It is so.")
    failure.receipt = "r-1"
    left_with(failure, as_json=True)
    assert json.loads(capsys.readouterr().out)["receipt"] == "r-1"
    left_with(failure, as_json=False)
    assert "r-1" in capsys.readouterr().err


def test_markup_in_what_others_wrote_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(Failure("There is no [bold]model[/] '[red]'.", hint="[link=x]y[/link]"), as_json=False)
    said = capsys.readouterr().err
    assert "[bold]model[/] '[red]'." in said and "[link=x]y[/link]" in said
    assert escaped("[x]") != "[x]"


def test_a_document_is_json_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    document({"name": "na\udcefve ü 日本", "n": 1.5})
    assert json.loads(capsys.readouterr().out) == {"name": "na?ve ü 日本", "n": 1.5}
    assert OK == 0
