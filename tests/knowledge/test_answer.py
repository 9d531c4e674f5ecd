from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.parts import Hit, message
from tiffin.knowledge import answer
from tiffin.knowledge.answer import Sentence, Source


def source(
    text: str,
    start: int = 0,
    end: int | None = None,
    *,
    document: str = "d",
    title: str = "A title",
    similarity: float = 0.6,
) -> Source:
    end = len(text) if end is None else end
    hit = Hit("c", document, title, 1, "k1", 0.03, text[start:end], 1, start, end, similarity)
    return Source(hit, "pdf", ((1, 0), (2, max(1, len(text) // 2))), text[start:end])


def chosen(
    question: str, sources: Sequence[Source], similarity: float = 0.7
) -> tuple[tuple[Sentence, ...], answer.Choice]:
    """With similarities that only know shared words."""
    among = answer.candidates(sources)
    words = set(question.lower().split())
    near = [similarity * len(words & set(one.text.lower().rstrip(".").split())) / max(1, len(words)) for one in among]
    return among, answer.choose(question, among, near)


FACTS = (
    "The maximum daily dose of brinsidine is 80 mg. Tablets are swallowed whole with water. The sponsor is Larkmoor."
)


def test_evidence_begins_with_the_sentence_that_answers() -> None:
    among, choice = chosen("what is the maximum daily dose of brinsidine", [source(FACTS)])
    assert among[choice.evidence[0][0]].text == "The maximum daily dose of brinsidine is 80 mg."
    assert choice.confidence > 0.5


@pytest.mark.parametrize(
    "question",
    [
        "who won the football world cup",
        "how does brinsidine bind to its receptor",
        "what does a tablet cost",
        "",
        "？",
        "what is it",
    ],
)
def test_what_is_not_there_has_no_evidence(question: str) -> None:
    assert chosen(question or " ", [source(FACTS, similarity=0.3)])[1].evidence == ()


def test_a_price_is_not_answered_by_a_dose() -> None:
    _, choice = chosen("what is the price of the maximum daily dose of brinsidine", [source(FACTS, similarity=0.9)])
    assert choice.evidence == ()
    assert "a price" in choice.reason


def test_who_asks_about_visit_v4_gets_visit_v4() -> None:
    rows = "\n".join(f"Visit: V{n} | Day: {7 * n} | Window: plus or minus {n} days" for n in range(1, 8))
    among, choice = chosen("what is the window of visit v4", [source(rows)], similarity=2.5)
    assert among[choice.evidence[0][0]].text.startswith("Visit: V4")


def test_nothing_found_is_no_evidence() -> None:
    assert answer.choose("anything at all", (), ()).evidence == ()


def test_a_hit_that_is_not_what_is_stored_gives_no_candidate() -> None:
    good = source(FACTS)
    changed = Source(good.hit, good.kind, good.pages, FACTS.replace("80", "90"))
    assert answer.candidates([changed]) == ()


def test_quotes_read_naturally_and_name_their_place() -> None:
    among = answer.candidates([source(FACTS), source("The other text says this.", document="e", title="")])
    first, second, third, other = among
    assert answer.quoted(first, []) == f"According to “A title” (page 1): “{first.text}”"
    assert answer.quoted(third, [first]) == f"It also says (page 2): “{third.text}”"
    assert answer.quoted(other, [first, second]) == "“e” (page 1) says: “The other text says this.”"


def test_what_hides_or_turns_text_is_not_shown() -> None:
    text = "The dose\u202e is 80\u200b mg\x00 in res\u00ad\npon\u00ad\nse."
    (one,) = answer.candidates([source(text)])
    assert one.text == "The dose is 80 mg in response."
    assert one.quote == text


def test_labels_are_left_out_of_the_quote() -> None:
    (one,) = answer.candidates([source("RESULTS: The dose was 80 mg a day.")])
    assert one.quote == "The dose was 80 mg a day."


def test_a_prompt_holds_the_evidence_and_is_bounded() -> None:
    long = " ".join(f"The maximum daily dose of drug number {n} is {n} mg." for n in range(400))
    among, choice = chosen("what is the maximum daily dose of drug number 3", [source(long)])
    read = answer.passages(among, choice)
    assert {i for i, _ in choice.evidence} <= set(read)
    system, user = answer.messages("what?", [among[i].text for i in read])
    assert system.role == "system"
    assert len(user.text) < 2 * answer.PASSAGE_CHARS_MAX


def test_braces_in_documents_are_no_template() -> None:
    assert "{question} {0} {text}" in answer.messages("{text}", ["{question} {0} {text}"])[1].text


def test_only_a_question_that_leans_on_another_is_completed() -> None:
    history = (message("user", "What is the dose of brinsidine?"), message("assistant", "80 mg."))
    assert (
        answer.completed("And how long is it taken?", history)
        == "What is the dose of brinsidine? And how long is it taken?"
    )
    assert answer.completed("What is the capital of France?", history) is None
    assert answer.completed("And how long is it taken?", ()) is None


@pytest.mark.parametrize(
    ("spoken", "plain"),
    [("**80 mg** a day.", "80 mg a day."), ("- Take it.", "Take it."), ("Answer: It is.", "It is."), ("2. Two", "Two")],
)
def test_models_marks_are_taken_off(spoken: str, plain: str) -> None:
    assert answer.plain(spoken) == plain


DOCUMENTS = st.lists(
    st.sampled_from(
        [
            "The dose of brinsidine is 80 mg. ",
            "RESULTS: ",
            "\n\n",
            "\r\n",
            "- ",
            "文です。",
            "\u00ad\n",
            "\x00",
            "e\u0301",
            "🧪 ",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=30,
).map("".join)


@given(DOCUMENTS, st.data())
def test_every_citation_is_an_exact_span_of_its_document(text: str, data: st.DataObject) -> None:
    spans = [(0, len(text))]
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(text)))
        spans.append((start, data.draw(st.integers(start, len(text)))))
    sources = [source(text, start, end, similarity=0.9) for start, end in spans]
    among, choice = chosen("the dose of brinsidine", sources, similarity=1.0)
    for one in among:
        citation = one.citation(0.5)
        assert citation.quote == text[citation.start : citation.end]
        assert citation.quote
        assert answer.exact(citation, {("d", 1): text})
        assert not answer.exact(citation, {("d", 1): "x" + text})
        assert not answer.exact(citation, {("d", 2): text})
    assert len(choice.evidence) <= answer.QUOTES_MAX


def test_a_word_that_only_begins_like_a_fee_is_no_price() -> None:
    """ "breast-feeding" once stood for a price, and a question about one was answered with a dose."""
    text = (
        "The maximum daily dose of brinsidine is 80 mg. A participant who is breast-feeding takes no brinsidine tablet."
    )
    _, choice = chosen("what does a tablet of brinsidine cost", [source(text, similarity=0.9)])
    assert "a price" in choice.reason
