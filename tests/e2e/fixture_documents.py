"""The documents of the fixture server: a fictional trial, with characters beyond the basic plane, and a long one."""

from __future__ import annotations

from dataclasses import dataclass

INGESTED = "2026-11-20T08:15:00Z"


@dataclass(frozen=True)
class Document:
    id: str
    title: str
    kind: str
    pages: tuple[tuple[str, str], ...]  # label and text of each page
    version: int = 1

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pages)

    def page_rows(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        start = 0
        for number, (label, text) in enumerate(self.pages, 1):
            rows.append({"number": number, "start": start, "end": start + len(text), "label": label})
            start += len(text)
        return rows

    def page_of(self, offset: int) -> int:
        return next(int(str(row["number"])) for row in self.page_rows() if offset < int(str(row["end"])))


PROTOCOL = Document(
    "protocol/KST-201 protocol v3.pdf",
    "KST-201 Clinical study protocol",
    "pdf",
    (
        (
            "1",
            "KST-201  Clinical study protocol, version 3.0\n\n"
            "A randomised, double-blind, placebo-controlled study of kestrelimab in adults with "
            "moderate plaque psoriasis\n\n"
            "Sponsor: Halden Biologics (fictional)\nPrimary contact: study desk \U0001f9ea "
            "\U0001d6fd-release team\n\n"
            "1  Synopsis\n\nParticipants are randomised 2:1 to kestrelimab 150 mg or matching "
            "placebo, given subcutaneously every\n"
            "four weeks for 24 weeks. The primary endpoint is the proportion of participants with at "
            "least 75 % improvement\n"
            "in the Psoriasis Area and Severity Index (PASI 75) at week 16.\n",
        ),
        (
            "2",
            "4  Eligibility\n\n4.1  Inclusion criteria\n\nParticipants must be 18 to 75 years of age "
            "and have had plaque psoriasis for at least six months.\n"
            "A PASI score of 12 or more and involvement of at least 10 % of body surface area are "
            "required at screening.\n\n"
            "4.2  Exclusion criteria\n\nActive tuberculosis, live vaccination within six weeks "
            "before the first dose, and prior exposure to any\n"
            "IL-23 inhibitor exclude a person from the study.\n",
        ),
        (
            "3",
            "7  Safety monitoring\n\n7.1  Laboratory limits\n\nDosing is paused when alanine "
            "aminotransferase exceeds three times the upper limit of normal on two\n"
            "consecutive visits. It may resume once the value has fallen below twice the upper limit of normal.\n\n"
            "7.2  Reporting of serious adverse events\n\nInvestigators report every serious adverse "
            "event to the sponsor within 24 hours of becoming aware of it.\n"
            "The sponsor informs the ethics committee within seven days when the event is unexpected "
            "and life-threatening.\n\n"
            "\U0001d6fd-blockers need no wash-out. The participant keeps the diary card; see section 9.\n",
        ),
        (
            "4",
            "9  Withdrawal\n\nA participant may leave the study at any time without giving a reason. "
            "Data collected until then are kept,\n"
            "unless the participant asks for their erasure under the applicable law.\n",
        ),
    ),
    version=3,
)

SOP = Document(
    "sop/SOP-014 safety reporting.docx",
    "SOP-014 Safety reporting",
    "docx",
    (
        (
            "1",
            "SOP-014  Safety reporting\n\nPurpose\nThis procedure sets out who reports what, to "
            "whom, and by when.\n\nProcedure\n"
            "1. The site enters the event into the safety database on the day it is learnt of.\n"
            "2. The medical monitor assesses causality within two working days.\n"
            "3. A missed deadline is recorded as a deviation and reviewed at the next safety meeting.\n",
        ),
    ),
)

EVENTS = Document(
    "data/adverse events.csv",
    "Adverse events listing",
    "csv",
    (
        (
            "1",
            "subject,visit,event,severity,serious,start,outcome\nKST-003,V4,Injection site "
            "redness,mild,no,2026-05-11,recovered\n"
            "KST-007,V5,Nasopharyngitis,mild,no,2026-06-02,recovered\nKST-011,V6,ALT "
            "increased,moderate,no,2026-06-29,recovering\n"
            "KST-019,V6,Appendicitis,severe,yes,2026-07-01,recovered\n",
        ),
    ),
)

NOTICE = Document(
    "notices/participant information.html",
    "Participant information",
    "html",
    (("1", "Taking part is your choice.\n\nYou can stop at any time, and you need not say why.\n"),),
)

BROCHURE = Document(
    "brochure/investigator brochure.pdf",
    "Investigator’s brochure",
    "pdf",
    tuple(
        (
            str(n),
            f"Investigator’s brochure, section {n}\n\n"
            + "Kestrelimab binds the p19 subunit of interleukin 23. Exposure rose with dose in healthy volunteers.\n"
            * 28
            + f"The value recorded for section {n} is {n * 37 % 1009} units.\n",
        )
        for n in range(1, 181)
    ),
)

PHARMACY = Document(
    "handling.md",
    "Handling of study medication",
    "markdown",
    (("1", "# Handling\n\nStore between 2 and 8 °C. Do not shake.\n"),),
)

COLLECTIONS: dict[str, tuple[Document, ...]] = {
    "kst-201": (PROTOCOL, SOP, EVENTS, NOTICE, BROCHURE),
    "pharmacy": (PHARMACY,),
}


def cite(collection: str, document: Document, quote: str) -> dict[str, object]:
    """A citation of the quote where it stands; offsets count code points, as Python's do."""
    start = document.text.index(quote)
    return {
        "collection": collection,
        "document": document.id,
        "title": document.title,
        "version": document.version,
        "page": document.page_of(start),
        "start": start,
        "end": start + len(quote),
        "quote": quote,
        "score": 0.82,
    }
