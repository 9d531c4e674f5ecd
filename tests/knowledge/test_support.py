from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.knowledge.support import check, content, is_aim, repeats

EVIDENCE = (
    "The maximum daily dose of brinsidine is 80 mg, and treatment starts with 20 mg once daily in the evening.",
    "The investigator must report a serious adverse event to the sponsor within 24 hours of becoming aware of it.",
    "Strong inhibitors of CYP3A4 are prohibited from 14 days before day 1 until visit V6.",
    "Brinsidine did not reduce the number of headache days in children.",
    "To learn whether brinsidine reduces migraine days more than placebo does.",
)


def verdict(claim: str, similarity: float = 0.9) -> str:
    judged = check(claim, EVIDENCE, ("Protocol BRN-204",) * len(EVIDENCE), [similarity] * len(EVIDENCE))
    return judged.reason or "supported"


@pytest.mark.parametrize(
    "claim",
    [
        "The maximum daily dose of brinsidine is 80 mg.",
        "The maximum daily dose of brinsidine is 80mg.",
        "According to the text, treatment starts with 20 milligrams once daily in the evening.",
        "The investigator must report a serious adverse event within 24 hours.",
        "Brinsidine did not reduce headache days in children.",
        "Strong CYP3A4 inhibitors are prohibited until visit V6.",
    ],
)
def test_what_the_evidence_says_is_supported(claim: str) -> None:
    assert verdict(claim) == "supported"


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("The maximum daily dose of brinsidine is 90 mg.", "numbers"),
        ("The maximum daily dose of brinsidine is 80 g.", "numbers"),
        ("The maximum daily dose of brinsidine is 20 to 800 mg.", "numbers"),
        ("The investigator must report a serious adverse event within 24 days.", "numbers"),
        ("The maximum daily dose of Aspirin is 80 mg.", "names"),
        ("Brinsidine did reduce the number of headache days in children.", "denial"),
        ("Strong inhibitors of CYP3A4 are not prohibited until visit V6.", "denial"),
        ("The minimum daily dose of brinsidine is 80 mg.", "direction"),
        ("The maximum daily dose of brinsidine is 80 mg, as doctors in many countries recommend.", "words"),
        ("Strong inhibitors of CYP3A4 are prohibited from 14 days after day 1.", "direction"),
        ("The sponsor must report a serious adverse event to the investigator within 24 hours.", "order"),
        ("Yes.", "empty"),
        ("", "empty"),
        ("See the maximum daily dose of brinsidine at https://evil.example/80", "link"),
        ("The daily dose of brinsidine ![x](//evil.example/?q=secret)", "link"),
    ],
)
def test_what_it_does_not_say_is_not(claim: str, reason: str) -> None:
    assert verdict(claim) == reason


def test_the_same_words_in_another_sense_are_not_supported() -> None:
    assert verdict("The maximum daily dose of brinsidine is 80 mg.", similarity=0.3) == "sense"


def test_an_aim_supports_nothing() -> None:
    assert verdict("Brinsidine reduces migraine days more than placebo does.") != "supported"
    assert is_aim("The aim of this study was to compare A with B.")
    assert is_aim("Is it safe?")
    assert not is_aim("A was better than B (P < .01).")


def test_two_sentences_may_carry_a_claim_together() -> None:
    claim = (
        "The maximum daily dose of brinsidine is 80 mg and a serious adverse event must be reported within 24 hours."
    )
    judged = check(claim, EVIDENCE, ("",) * len(EVIDENCE), [0.9, 0.85, 0.1, 0.1, 0.1])
    assert judged.supported
    assert judged.by == (0, 1)


def test_a_title_lends_names_but_no_numbers() -> None:
    title = ("Larkmoor protocol 7",)
    evidence = ("The dose of brinsidine is taken daily in the evening.",)
    assert check("In Larkmoor the dose of brinsidine is taken daily.", evidence, title, [0.9]).supported
    assert check("The dose of brinsidine is taken 7 times daily.", evidence, title, [0.9]).reason == "numbers"


def test_japanese_and_german_are_read_too() -> None:
    japanese = ("重篤な有害事象は24時間以内に報告しなければなりません。",)
    assert check("重篤な有害事象は24時間以内に報告します。", japanese, ("",), [0.9]).supported
    assert check("重篤な有害事象は48時間以内に報告します。", japanese, ("",), [0.9]).reason == "numbers"
    german = ("Die maximale Tagesdosis von Brinsidin beträgt 80 mg.",)
    assert check("Laut Text beträgt die maximale Tagesdosis 80 mg.", german, ("",), [0.9]).supported
    assert check("Die maximale Tagesdosis beträgt nicht 80 mg.", german, ("",), [0.9]).reason == "denial"


def test_repeating_is_recognised() -> None:
    assert repeats("The maximum dose is 80 mg.", ["The maximum dose is 80 mg"])
    assert not repeats("The maximum dose is 80 mg.", ["Tablets are swallowed whole."])


@given(st.integers(0, 3), st.integers(0, 99_999))
def test_no_number_passes_that_the_evidence_lacks(index: int, number: int) -> None:
    if str(number) in content(" ".join(EVIDENCE)):
        return
    claim = EVIDENCE[index].rstrip(".") + f" and {number}."
    assert verdict(claim) != "supported"


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=3))
def test_any_text_gets_a_verdict(claim: str, evidence: list[str]) -> None:
    check(claim, evidence, [""] * len(evidence), [0.9] * len(evidence))
