"""Whether a sentence says no more than its evidence does: by its words, numbers, names and sense. Pure, and suspicious.

A withheld sentence costs a little fluency, a wrong one that looks cited costs trust. So each rule can only say no: what
passes has its numbers with their units, its names and its words in the evidence, in much the same order, denies and
obliges where the evidence does, and points the same way. Model judges were not chosen: a small local model agrees with
anything, and nobody could check its verdict with a pencil. Measured on SciFact's claims against their abstracts, which
were written to mislead: 4 % of 248 contradicted ones pass, and 7 % of 415 free paraphrases.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

RULES = "support-1"  # named in receipts; changes with any change of the rules here

ABSENT_SHARE = (
    0.2  # of a claim's words that its evidence may lack if the sense is as near as SIMILARITY_NEAR; else none
)
SIMILARITY_MIN = 0.6  # cosine of claim and nearest evidence sentence
SIMILARITY_NEAR = 0.8  # cosine of a close paraphrase
OUT_OF_ORDER_MAX = (
    1  # shared words out of the order of the evidence; two are a swap: "A exceeds B" is not "B exceeds A"
)
REPEAT_SHARE = 0.9  # of words shared both ways; beyond it a claim only repeats a quote that the reader has already
WORDS_MIN = 3  # content words; a shorter claim ("Yes.", "It does.") stands on nothing

Reason = Literal[
    "",
    "empty",
    "link",
    "numbers",
    "names",
    "words",
    "denial",
    "duty",
    "direction",
    "sense",
    "order",
    "repeats",  # the reader has read it already
    "aside",  # it does not speak to the question
    "gone",  # its source has been deleted meanwhile
]


@dataclass(frozen=True)
class Verdict:
    """`by` are the indexes of the evidence sentences that carry the claim; `reason` is the first rule that said no."""

    by: tuple[int, ...] = ()
    reason: Reason = ""

    @property
    def supported(self) -> bool:
        return not self.reason


_STOP = frozenset(
    "a about above after again against all also although am an and any are as at be because been before being below "
    "between both but by can could did do does doing down during each either for from further had has have having he "
    "her here hers him his how however i if in into is it its itself just may me might more most my of off on once "
    "one only or other our ours out over own same she should so some such than that the their theirs them then there "
    "therefore these they this those through thus to too under until up upon us very was we were what when where "
    "whether which while who whom whose why will with within would yes yet you your yours "
    # words that an answer says about its evidence
    "according answer based context document evidence finding findings found indicate indicated indicates "
    "mention mentioned mentions passage paper question report reported reports result results said say says "
    "show showed shown shows state stated states study suggest suggested suggests summary text der die das "
    "den dem des ein eine einer eines einem einen und oder aber ist sind war waren wird werden wurde wurden "
    "hat haben mit von vom zu zum zur im in am an auf aus bei für als auch dass daß es er sie wir ihr ich "
    "sich nach über unter um so wie was wer wo wann warum welche welcher welches laut".split()
)
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['’\u2010\u2011-][^\W_]+)*", re.UNICODE)
_MEASURE = re.compile(r"(\d+)([^\W\d_]+)")  # 80mg, which others write 80 mg
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+)")
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")  # the script of Japanese particles and endings
_NUMBER = re.compile(r"(?<![A-Za-z0-9À-ɏ_.,])[-−+]?\d+(?:[.,]\d+)*")  # not the 3 of CYP3A4
_LINK = re.compile(r"\w+://\S+|\]\(|<\w+|www\.\S+", re.UNICODE)
_AIM = re.compile(
    r"\?[\"'”’)]*\s*$|^(?:[A-Z][A-Za-z /&]{2,40}: ?)?To [a-z]+ |\b[Ww]hether\b|\b[Hh]ypothes[ie]|"
    r"\b(?:aims?|aimed|sought|designed|undertaken|conducted|purpose|objectives?|goal)\b[^.]{0,60}\bto\b|"
    r"\b(?:unclear|not (?:\w+ )?clear|unknown|controversial|not known|poorly understood|"
    r"less definitive|remains? to be)\b|"
    r"\b(?:[Ww]e|[Ss]tudy|[Pp]aper|[Rr]eport|[Rr]esearch|[Tt]rial|[Rr]eview)(?: \w+){0,2} "
    r"(?:investigat|examin|assess|evaluat|explor|review|compar|address|studie[ds]|analy[sz]|describ|seeks?|consider)"
)
_CLAUSE = re.compile(
    r";|\b(?:but|whereas|while|although|though|however|aber|während|jedoch)\b|, (?:and|or)\b|(?<=[.!?]) "
)
_CAPITALISED = re.compile(r"[^\W\d_][\w'’-]*", re.UNICODE)
_NUMERALS = {
    word: str(value)
    for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
    if word != "one"  # "one of the", "no one": more often a pronoun
}
_UNITS = {
    spelling: names.split()[0]
    for names in (
        "% percent prozent pct",
        "mg milligram milligrams",
        "g gram grams",
        "kg kilogram kilograms",
        "µg mcg microgram micrograms",
        "ml millilitre millilitres milliliter milliliters",
        "l litre litres liter liters",
        "mm",
        "cm",
        "m metre metres meter meters",
        "second seconds sec s",
        "minute minutes min",
        "hour hours h hr hrs stunde stunden",
        "day days tag tage tagen",
        "week weeks woche wochen",
        "month months monat monate monaten",
        "year years yr yrs jahr jahre jahren",
        "°c celsius",
        "usd dollar dollars $",
        "eur euro euros €",
        "million millions mio",
        "billion billions mrd",
    )
    for spelling in names.split()
}
_DENIALS = frozenset(
    "no not never neither nor none nothing without cannot fail failed fails failing lack lacked lacks lacking "
    "absence absent unable nicht kein keine keinen keiner keinem nie niemals ohne weder noch".split()
)
_CLASSES: tuple[frozenset[str], ...] = tuple(
    frozenset(words.split())
    for words in (
        "must shall required requires require mandatory obliged muss müssen",
        "always all every any invariably immer alle jeder jede jedes",
        "only solely exclusively nur ausschließlich",
        "cause causes caused causing",
        "prove proves proved proven proof",
        "significant significantly",
    )
)
_OPPOSITES: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (frozenset(up.split()), frozenset(down.split()))
    for up, down in (
        (
            "increase increased increases increasing rise rises rose risen raise raised higher greater more larger "
            "elevated exceed exceeds exceeded above longer gain gained enhance enhanced enhances upregulated "
            "stimulate induce induced induces promotes promote activate activates activated",
            "decrease decreased decreases decreasing reduce reduced reduces reduction fall falls fell lower lowered "
            "less fewer smaller below shorter decline declined drop dropped loss suppress suppressed inhibit "
            "inhibits downregulated impair impaired impairs prevent prevents prevented block blocks",
        ),
        (
            "better improve improved improves improvement superior",
            "worse worsen worsened worsens inferior deteriorate impair impaired",
        ),
        ("before earlier prior", "after later following"),
        (
            "allowed permitted may can eligible include included",
            "prohibited forbidden excluded exclude ineligible contraindicated",
        ),
        (
            "safe benefit beneficial effective protective",
            "unsafe harm harmful ineffective detrimental negative adverse",
        ),
        ("positive", "negative"),
        ("maximum most", "minimum least"),
        (
            "start started begin began initiate initiated",
            "stop stopped end ended discontinue discontinued terminate terminated",
        ),
    )
)


def stem(word: str) -> str:
    """A light stem: enough for plurals and past tenses to meet, too weak for different words to."""
    word = word.replace("’", "'").removesuffix("'s").removesuffix("'")
    for suffix, left in (
        ("ies", "y"),
        ("sses", "ss"),
        ("ing", ""),
        ("edly", ""),
        ("ed", ""),
        ("ly", ""),
        ("es", ""),
        ("s", ""),
        ("e", ""),
    ):
        if word.endswith(suffix) and not word.endswith(("ss", "us", "is")) and len(word) - len(suffix) >= 4:
            word = word[: -len(suffix)] + left
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "lsz" else word


def words(text: str) -> list[str]:
    """All words as they stand, in NFKC and lower case; runs of Chinese, Japanese and Korean as pairs of characters."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        for piece in _CJK.split(match.group()):
            if _CJK.fullmatch(piece):
                pairs = [piece[i : i + 2] for i in range(max(1, len(piece) - 1))]
                found.extend(pair for pair in pairs if not _HIRAGANA.fullmatch(pair))
            elif piece:
                found.extend(_with_parts(piece))
    return found


def _with_parts(word: str) -> list[str]:
    parts = [part for part in word.split("-") if part] if "-" in word else []
    measure = _MEASURE.fullmatch(word)
    return [word, *parts, *(measure.groups() if measure else ())]


def content(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order."""
    return [stem(w) for w in words(text) if w not in _STOP and w not in _NUMERALS and (len(w) > 1 or w.isdigit())]


def covered(wanted: Iterable[str], text_stems: Iterable[str]) -> float:
    """The share of different wanted stems that are there; 0 if none is wanted."""
    needed = set(wanted)
    return len(needed & set(text_stems)) / len(needed) if needed else 0.0


def is_aim(sentence: str) -> bool:
    """Whether a sentence asks, or says what was to be found out, and so answers and supports nothing."""
    return bool(_AIM.search(sentence))


def repeats(claim: str, said: Iterable[str]) -> bool:
    """Whether a claim only says again what the reader has read already."""
    mine = content(claim)
    return any(
        min(covered(mine, theirs), covered(theirs, mine)) >= REPEAT_SHARE for theirs in (content(text) for text in said)
    )


def check(claim: str, evidence: Sequence[str], context: Sequence[str], similarities: Sequence[float]) -> Verdict:
    """Judge a claim against evidence sentences.

    `context[i]` is what `evidence[i]` stands under (its title): its names and words may be used, its numbers may not.
    `similarities[i]` is the cosine of claim and `evidence[i]`.
    """
    wanted = content(claim)
    if len(wanted) < WORDS_MIN:
        return Verdict(reason="empty")
    if any(link not in text for link in _LINK.findall(claim) for text in [" ".join(evidence)]):
        return Verdict(reason="link")
    usable = [i for i in range(len(evidence)) if not is_aim(evidence[i])]
    ranked = sorted(usable, key=lambda i: -(covered(wanted, content(evidence[i])) + similarities[i]))
    first: Reason = "words"
    for by in [(i,) for i in ranked[:3]] + ([tuple(sorted(ranked[:2]))] if len(ranked) > 1 else []):
        near = max(similarities[i] for i in by)
        reason = _fault(claim, [evidence[i] for i in by], " ".join(context[i] for i in by), near)
        if not reason:
            return Verdict(by)
        if by == (ranked[0],):
            first = reason
    return Verdict(reason=first)


def _fault(claim: str, parts: Sequence[str], context: str, similarity: float) -> Reason:
    """The first rule that the claim breaks against this evidence, or ''."""
    wanted, evidence = content(claim), " ".join(parts)
    stems = content(evidence)
    if not _numbers(claim) <= _numbers(evidence) or not _measures(claim) <= _measures(evidence, reach=4):
        return "numbers"
    known = {stem(w) for w in words(f"{evidence} {context}")}
    if any(name not in known for name in _names(claim)):
        return "names"
    absent = set(wanted) - {*stems, *content(context)}
    allowed = int(len(set(wanted)) * ABSENT_SHARE) if similarity >= SIMILARITY_NEAR else 0
    if len(absent) > allowed:
        return "words"
    said, source = frozenset(words(claim)), frozenset(words(evidence))
    clauses = [max(_CLAUSE.split(part), key=lambda c: covered(wanted, content(c))) for part in parts]
    nearest = max(clauses, key=lambda c: covered(wanted, content(c)))
    near = frozenset(words(" ".join(clauses)))
    if _denies(said, claim) != _denies(frozenset(words(nearest)), nearest) or any(_reversed(w, known) for w in absent):
        return "denial"
    if any(said & same and not source & same for same in _CLASSES):
        return "duty"
    if any(_turned(said, near, one, other) or _turned(said, near, other, one) for one, other in _OPPOSITES):
        return "direction"
    if similarity < SIMILARITY_MIN:
        return "sense"
    return "order" if _out_of_order(wanted, stems) > OUT_OF_ORDER_MAX else ""


def _turned(said: frozenset[str], source: frozenset[str], one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a claim points one way where its source does not, or points both ways."""
    return bool(said & one) and (not source & one or bool(source & other and not said & other))


def _denies(said: frozenset[str], text: str) -> bool:
    return bool(said & _DENIALS) or "n't" in text or "n’t" in text


def _reversed(word: str, known: set[str]) -> bool:
    return any(
        (word.startswith(prefix) and word[len(prefix) :] in known) or prefix + word in known
        for prefix in ("in", "im", "un", "non", "ir", "dis", "ab", "de", "mis", "a")
    )


def _numbers(text: str) -> frozenset[str]:
    text = unicodedata.normalize("NFKC", text)
    digits = {_plain(match.group()) for match in _NUMBER.finditer(text)}
    return frozenset(digits | {_NUMERALS[w] for w in words(text) if w in _NUMERALS})


def _plain(number: str) -> str:
    """1,000 and 1000 are one number, and so are 5.0 and 5; a comma before other than three digits is a decimal one."""
    number = re.sub(r",(?=\d{3}(?:\D|$))", "", number.lstrip("+").replace("−", "-")).replace(",", ".")
    return number.rstrip("0").rstrip(".") if "." in number else number


def _measures(text: str, reach: int = 1) -> frozenset[tuple[str, str]]:
    """Numbers with the unit that follows within `reach` words."""
    tokens = re.findall(
        r"[-−+]?\d+(?:[.,]\d+)*|[^\W\d_]+|[%$€°]C?", unicodedata.normalize("NFKC", text).replace("μ", "µ")
    )
    found = set()
    for i, token in enumerate(tokens):
        number = _plain(token) if token[-1].isdigit() else _NUMERALS.get(token.casefold())
        if number is None:
            continue
        around = tokens[i + 1 : i + 1 + reach] + (tokens[i - 1 : i] if i else [])
        found |= {(number, _UNITS[w.casefold()]) for w in around if w.casefold() in _UNITS}
    return frozenset(found)


def _names(claim: str) -> frozenset[str]:
    """Stems of words with a capital that is not owed to the beginning of the sentence."""
    names = set()
    for match in _CAPITALISED.finditer(claim):
        word = match.group()
        first = not any(c.isalnum() for c in claim[: match.start()])
        shouted = len(word) > 1 and any(c.isupper() for c in word[1:])
        if (word[0].isupper() and not first and word.casefold() not in _STOP) or shouted:
            names |= {stem(w) for w in words(word)}
    return frozenset(names)


def _out_of_order(wanted: Sequence[str], source: Sequence[str]) -> int:
    """How many of the words of a claim that its source shares do not come in the source's order."""
    there = set(source)
    shared = [word for word in wanted if word in there]
    row = [0] * (len(source) + 1)  # of the longest common subsequence
    for word in shared:
        diagonal = 0
        for j, other in enumerate(source, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return len(shared) - row[-1]
