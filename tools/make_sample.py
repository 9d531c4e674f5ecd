"""Write the sample collection: six files of an invented clinical trial, and questions about them.

`python tools/make_sample.py [FOLDER]` writes the same bytes every time: dates are fixed, nothing is compressed (so no
zlib version shows), and members of office files are sorted. The trial, its drug, sponsor, sites and people's roles are
invented; any likeness is chance. The files are committed, so running the product needs none of the libraries used here.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import docx
import xlsxwriter
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from fpdf import FPDF

WRITTEN = datetime(2031, 3, 26, 9, 0, 0, tzinfo=UTC)
SPONSOR = "Larkmoor Therapeutics"
FOLDER = Path(__file__).resolve().parent.parent / "tiffin" / "sample"

# `# ` and `## ` are headings, `- ` items, `1. ` steps, `| ` table rows; everything else is a paragraph.
PROTOCOL = """
# 1. Synopsis
Study BRN-204 is a randomised, double-blind, placebo-controlled phase 2 trial of brinsidine tablets for the prevention of episodic migraine in adults. The sponsor is Larkmoor Therapeutics. A total of 180 participants will be randomised at three sites in a ratio of 2 to 1 to brinsidine or placebo.
| Item | Summary
| Indication | Prevention of episodic migraine
| Population | Adults aged 18 to 65 years
| Treatment period | 12 weeks
| Sites | 01 Aldermere, 02 Port Hessel, 03 Vintry
| First participant in | 6 October 2030
# 2. Objectives and endpoints
The primary objective is to learn whether brinsidine reduces the number of migraine days more than placebo. The primary endpoint is the change from baseline in monthly migraine days during weeks 9 to 12. Secondary endpoints are the share of participants whose monthly migraine days fall by at least half, the number of days with rescue medication, and the change in the headache impact score.
# 3. Eligibility
## 3.1 Inclusion criteria
A person may take part only if all of the following hold:
- The person is between 18 and 65 years old and has signed the consent form.
- Migraine was diagnosed at least 12 months before screening.
- The diary of the 28-day screening period shows 4 to 14 migraine days.
- The diary was completed on at least 24 of those 28 days.
## 3.2 Exclusion criteria
A person must not take part if any of the following holds:
- The person is pregnant or breast-feeding, or plans a pregnancy during the trial.
- Alanine aminotransferase (ALT) at screening is more than 2 times the upper limit of normal.
- The corrected QT interval (QTcF) at screening is longer than 450 ms.
- The estimated glomerular filtration rate is below 60 mL/min.
- Blood pressure at rest is 160/100 mmHg or higher.
- Opioids were taken on more than 4 days in any of the last three months.
# 4. Treatment
## 4.1 Dose
Treatment starts with 20 mg of brinsidine once daily in the evening. On day 8 the dose rises to 40 mg once daily. At visit V4 the investigator may raise the dose to 80 mg once daily if the participant still has 4 or more migraine days per month and tolerates the treatment. The maximum daily dose of brinsidine is 80 mg.
| Period | Daily dose | Tablets
| Day 1 to day 7 | 20 mg | one tablet of 20 mg
| Day 8 to day 28 | 40 mg | one tablet of 40 mg
| Day 29 to day 84 | 40 mg or 80 mg | one or two tablets of 40 mg
A dose that is not tolerated may be lowered once to the step before. A participant whose dose was lowered does not return to the higher dose.
## 4.2 Taking the tablets
Tablets are swallowed whole with water, with or without food. A missed dose is taken within 12 hours of the usual time; after that it is left out, and a double dose is never taken.
## 4.3 Other medicines
Strong inhibitors of CYP3A4, such as ketoconazole, and grapefruit juice are prohibited from 14 days before day 1 until visit V6. Paracetamol up to 3 g per day is permitted as rescue medication. Triptans are permitted on no more than 9 days per month.
## 4.4 Storage
Trial medication is kept in a monitored refrigerator. SOP-022 rules storage, quarantine and release after a temperature excursion.
# 5. Visits
The trial has seven visits over about 20 weeks. The file visit-schedule.xlsx gives the day, the window and the assessments of each visit. A visit outside its window is recorded as a protocol deviation, but the participant stays in the trial.
Blood samples taken over the whole trial amount to no more than 120 mL.
# 6. Safety
## 6.1 Adverse events
Adverse events are collected from the first dose until visit V7, which takes place 28 days after the last dose. Each event is graded from 1 (mild) to 5 (fatal) and judged as related or not related to the trial medication.
## 6.2 Serious adverse events
An adverse event is serious if it is fatal or life-threatening, leads to or prolongs a stay in hospital, causes lasting disability, or is a birth defect. The investigator must report a serious adverse event to the sponsor within 24 hours of becoming aware of it. A follow-up report is due within 5 days of the first report.
## 6.3 Pregnancy
A pregnancy is reported to the sponsor within 24 hours, the trial medication is stopped at once, and the pregnancy is followed to its outcome.
## 6.4 Unblinding
The treatment of a participant is unblinded only if that knowledge is needed to treat the participant in an emergency. The investigator unblinds through the web system, which answers day and night, and informs the medical monitor within 24 hours.
# 7. Stopping rules
## 7.1 For a participant
Trial medication is stopped for good in a participant if any of the following occurs:
- ALT or aspartate aminotransferase (AST) rises above 5 times the upper limit of normal.
- ALT or AST rises above 3 times the upper limit of normal together with bilirubin above 2 times the upper limit.
- QTcF is longer than 500 ms in two recordings made 30 minutes apart.
- A related adverse event of grade 4 occurs, or the participant becomes pregnant.
## 7.2 For the trial
Dosing is paused in all participants if two related adverse events of grade 4 or one related death occur. Dosing resumes only after the data monitoring committee has recommended it in writing.
# 8. Statistics
With 180 participants the trial has 90 percent power to detect a difference of 1.5 monthly migraine days at a two-sided significance level of 5 percent. The main analysis uses a mixed model for repeated measures and includes every randomised participant who took at least one dose.
# 9. Records
Source records and the trial master file are kept for 25 years after the end of the trial. Every change to a record shows the old value, the new value, who made the change, when and why. The ethics committee of the Hessel region approved version 3.0 of this protocol on 28 January 2031.
"""  # noqa: E501 - a paragraph is a line

SOP = """
# Purpose
This procedure says how trial medication of study BRN-204 is stored and what is done when its temperature leaves the permitted range. It applies to every site that keeps tablets of brinsidine or placebo.
# Storage
Trial medication is stored between 2 °C and 8 °C in a refrigerator that holds nothing else. A calibrated logger records the temperature every 10 minutes, and its alarm sounds below 2 °C and above 8 °C. The pharmacist reads the log on every working day and signs the temperature record.
# What a temperature excursion is
A temperature excursion is any period of more than 15 minutes outside 2 °C to 8 °C. Shorter periods, such as those while the door is open, are noted in the record and need no further action.
# What to do
1. Move the affected kits to a working refrigerator and mark them "Quarantine - do not dispense".
2. Save the logger's data and write down the highest and lowest temperature and how long the excursion lasted.
3. Report the excursion to the sponsor on form TE-1 within one working day.
4. Dispense no affected kit until the sponsor has released it in writing.
5. File the form, the data and the sponsor's decision in section 7 of the pharmacy file.
# How the sponsor decides
The sponsor's quality unit decides within three working days by this table.
| Highest temperature | Duration | Decision
| up to 12 °C | up to 6 hours in total | Release; the kit may have one excursion only
| up to 12 °C | more than 6 hours | Destroy
| above 12 °C and up to 25 °C | up to 60 minutes | Release, and use within 30 days
| above 12 °C and up to 25 °C | more than 60 minutes | Destroy
| above 25 °C | any | Destroy
Kits that were frozen are always destroyed. A kit that has had a second excursion is destroyed, whatever its temperature was.
# Who does what
| Role | Duty
| Site pharmacist | Reads the log, quarantines kits, sends form TE-1
| Investigator | Makes sure that no participant runs out of tablets
| Quality unit of the sponsor | Decides and answers in writing
| Study monitor | Checks the pharmacy file at the next visit
# Records and training
Temperature records are kept for 25 years, as the protocol demands in section 9. Staff are trained in this procedure before they handle trial medication and again every 24 months.
"""  # noqa: E501 - a paragraph is a line

EVENT_COLUMNS = (
    "Event", "Participant", "Site", "Term", "Start", "End", "Grade", "Serious", "Related", "Action", "Outcome",
)  # fmt: skip
EVENTS = """
AE-001,01-002,01,Nausea,2030-10-21,2030-10-24,1,no,yes,none,recovered
AE-002,01-004,01,Headache after dose increase,2030-10-29,2030-10-30,1,no,no,none,recovered
AE-003,01-007,01,Dizziness,2030-11-05,2030-11-11,2,no,yes,dose lowered to 20 mg,recovered
AE-004,02-001,02,Dry mouth,2030-11-12,2030-12-02,1,no,yes,none,recovered
AE-005,02-003,02,Common cold,2030-11-18,2030-11-25,1,no,no,none,recovered
AE-006,01-011,01,Fatigue,2030-11-20,2030-12-09,2,no,yes,none,recovered
AE-007,03-002,03,Nausea,2030-12-01,2030-12-03,1,no,yes,none,recovered
AE-008,02-006,02,Rash on both arms,2030-12-08,2030-12-19,2,no,yes,dose interrupted for 5 days,recovered
AE-009,01-015,01,Sprained ankle,2030-12-14,2031-01-10,2,no,no,none,recovered
AE-010,03-005,03,Insomnia,2030-12-17,2031-01-06,1,no,yes,dose taken in the morning,recovered
AE-011,02-009,02,Appendicitis,2031-01-09,2031-01-15,3,yes,no,dose interrupted for 9 days,recovered
AE-012,01-018,01,Diarrhoea,2031-01-12,2031-01-14,1,no,no,none,recovered
AE-013,03-007,03,Raised liver enzymes (ALT 5.6 times the upper limit),2031-01-27,2031-02-24,3,no,yes,trial medication stopped,recovered
AE-014,01-022,01,Dizziness,2031-01-30,2031-02-02,1,no,yes,none,recovered
AE-015,02-011,02,Syncope with overnight stay in hospital,2031-02-06,2031-02-07,3,yes,yes,trial medication stopped,recovered
AE-016,03-009,03,Dry mouth,2031-02-10,,1,no,yes,none,ongoing
AE-017,01-026,01,Influenza,2031-02-14,2031-02-22,2,no,no,none,recovered
AE-018,02-014,02,Nausea,2031-02-18,2031-02-20,1,no,yes,none,recovered
AE-019,03-012,03,Palpitations,2031-02-21,2031-02-23,1,no,yes,none,recovered
AE-020,01-031,01,Fatigue,2031-02-25,2031-03-08,1,no,yes,none,recovered
AE-021,02-017,02,Back pain,2031-03-01,,2,no,no,none,ongoing
AE-022,03-014,03,Dizziness,2031-03-05,2031-03-07,1,no,yes,none,recovered
AE-023,01-035,01,Urinary tract infection,2031-03-07,2031-03-12,2,no,no,none,recovered
AE-024,02-020,02,Headache,2031-03-11,2031-03-11,1,no,no,none,recovered
"""  # noqa: E501 - a row is a line

NOTICE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Temperature excursion notice TN-2031-03</title>
</head>
<body>
<h1>Temperature excursion notice TN-2031-03</h1>
<p>Study BRN-204, site 02 Port Hessel. Issued by the quality unit of Larkmoor Therapeutics on 5 March 2031.</p>
<h2>What happened</h2>
<p>On 2 March 2031 the refrigerator of the pharmacy at site 02 warmed to 11.4 °C after a power failure. The temperature
stayed above 8 °C for 3 hours and 20 minutes, from 01:50 to 05:10. The alarm was sent to a telephone that nobody carried
that night, so the excursion was noticed at 07:30.</p>
<h2>What is affected</h2>
<p>The pharmacist put 36 kits of lot B7731 in quarantine on the same morning and sent form TE-1 on 3 March 2031. No
participant received tablets from these kits after the excursion.</p>
<table>
<tr><th>Kits</th><th>Lot</th><th>Strength</th><th>Number</th></tr>
<tr><td>4101 to 4124</td><td>B7731</td><td>40 mg</td><td>24</td></tr>
<tr><td>4201 to 4212</td><td>B7731</td><td>20 mg</td><td>12</td></tr>
</table>
<h2>Decision</h2>
<p>The 36 kits are released for use, because the temperature stayed below 12 °C for less than 6 hours, as SOP-022
permits. Each kit carries a yellow label; after a second excursion it must be destroyed.</p>
<h2>What site 02 must do</h2>
<ol>
<li>Send the alarm to two telephones from 6 March 2031 on.</li>
<li>Connect the refrigerator to the emergency power supply by 31 March 2031.</li>
<li>File this notice in section 7 of the pharmacy file.</li>
</ol>
<p>The data monitoring committee will discuss this notice at its meeting on 24 March 2031.</p>
</body>
</html>
"""

MINUTES = """# Minutes of the data monitoring committee, meeting 3

Study BRN-204, brinsidine for the prevention of migraine. Held by video on 24 March 2031 from 14:00 to 15:10.

## Present

- Chair, a neurologist
- Member, a hepatologist
- Member, a statistician
- In the open session only: the medical monitor of Larkmoor Therapeutics

## 1. Recruitment

By the data cut-off on 14 March 2031, 96 of 180 participants had been randomised: 41 at site 01 Aldermere, 29 at site 02
Port Hessel and 26 at site 03 Vintry. Seven participants had left the trial, two of them because of an adverse event.

## 2. Safety

The committee reviewed the 24 adverse events listed in adverse-events.csv. Two events were serious: the appendicitis of
participant 02-009, which was not related, and the syncope of participant 02-011, which was related.

Participant 03-007 had a rise of ALT to 5.6 times the upper limit of normal on 27 January 2031. The trial medication was
stopped, as section 7.1 of the protocol demands, and the value was normal again on 24 February 2031.

No related event of grade 4 and no death has occurred, so the stopping rule for the trial in section 7.2 is not met.

## 3. Temperature excursion at site 02

The committee discussed notice TN-2031-03. It agreed with the release of the 36 kits under SOP-022.

## 4. Decisions

| No. | Decision | Who | By |
|-----|----------|-----|----|
| D1 | The trial continues without change of the protocol. | Chair | at once |
| D2 | Liver values are measured at visit V3, too, in every new participant. | Medical monitor | 7 April 2031 |
| D3 | Blood pressure is measured lying and standing after each dose increase. | Medical monitor | 7 April 2031 |
| D4 | Site 02 shows that its refrigerator has emergency power. | Study monitor | 31 March 2031 |

## 5. Next meeting

The next meeting of the committee is on 23 June 2031, or earlier if a stopping rule is met.
"""

VISITS = (
    ("Visit", "Name", "Day", "Window", "Dose from this visit", "Where"),
    ("V1", "Screening", "-28 to -1", "none", "none", "at the site"),
    ("V2", "Baseline and randomisation", "1", "none", "20 mg once daily", "at the site"),
    ("V3", "Dose increase", "8", "plus or minus 1 day", "40 mg once daily", "at the site"),
    ("V4", "Dose decision", "29", "plus or minus 3 days", "40 mg or 80 mg once daily", "at the site"),
    ("V5", "Mid-treatment check", "57", "plus or minus 3 days", "unchanged", "by telephone"),
    ("V6", "End of treatment", "85", "plus or minus 3 days", "none", "at the site"),
    ("V7", "Follow-up", "112", "plus or minus 5 days", "none", "at the site"),
)
ASSESSMENTS = (
    ("Assessment", "V1", "V2", "V3", "V4", "V5", "V6", "V7"),
    ("Informed consent", "yes", "", "", "", "", "", ""),
    ("Physical examination", "yes", "yes", "", "", "", "yes", ""),
    ("Blood pressure", "yes", "yes", "yes", "yes", "", "yes", "yes"),
    ("Electrocardiogram", "yes", "yes", "", "yes", "", "yes", ""),
    ("Liver values", "yes", "yes", "", "yes", "", "yes", "yes"),
    ("Pregnancy test", "yes", "yes", "", "yes", "", "yes", "yes"),
    ("Diary review", "", "yes", "yes", "yes", "yes", "yes", "yes"),
    ("Tablets handed out", "", "yes", "yes", "yes", "", "", ""),
)
SITES = (
    ("Site", "Town", "Planned participants", "First participant", "Pharmacy telephone"),
    ("01", "Aldermere", 72, "2030-10-06", "extension 4410"),
    ("02", "Port Hessel", 54, "2030-11-03", "extension 2275"),
    ("03", "Vintry", 54, "2030-11-24", "extension 3062"),
)

QUESTIONS = (
    ("What is the maximum daily dose of brinsidine?", "80 mg", "protocol.pdf"),
    ("When must a serious adverse event be reported to the sponsor?", "24 hours", "protocol.pdf"),
    ("What is the primary endpoint of the study?", "monthly migraine days", "protocol.pdf"),
    ("What should a participant do about a missed dose?", "12 hours", "protocol.pdf"),
    ("How long are the source records kept?", "25 years", "protocol.pdf"),
    ("At what temperature is trial medication stored?", "2 °C and 8 °C", "sop-022-storage.docx"),
    ("What counts as a temperature excursion?", "15 minutes", "sop-022-storage.docx"),
    ("How warm did the refrigerator at site 02 get?", "11.4 °C", "temperature-notice.html"),
    ("Which participant had raised liver enzymes?", "03-007", "adverse-events.csv"),
    ("Why was the stopping rule for the trial not met?", "No related event of grade 4", "committee-minutes.md"),
    ("When is the next meeting of the committee?", "23 June 2031", "committee-minutes.md"),
    ("What is the window of visit V4?", "plus or minus 3 days", "visit-schedule.xlsx"),
    ("What does a tablet of brinsidine cost?", None, None),
    ("Who is the chief executive of Larkmoor Therapeutics?", None, None),
    ("Which insurance company covers the participants?", None, None),
    ("What were the results of brinsidine in children?", None, None),
    ("How does brinsidine bind to its receptor?", None, None),
)


class _Page(FPDF):
    """A page of the protocol with its running head and number."""

    def header(self) -> None:
        self.set_font("helvetica", size=8)
        self.cell(0, 6, f"{SPONSOR} - Protocol BRN-204, version 3.0, 14 January 2031")
        self.ln(10)

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("helvetica", size=8)
        self.cell(0, 6, f"Page {self.page_no()} of {{nb}}", align="C")


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(mark, words) of each line of the markup above."""
    for line in text.strip().splitlines():
        for mark in ("## ", "# ", "- ", "| "):
            if line.startswith(mark):
                yield mark.strip(), line.removeprefix(mark)
                break
        else:
            yield ("1.", line.split(". ", 1)[1]) if line[:1].isdigit() else ("", line)


def protocol() -> bytes:
    """The protocol as PDF, uncompressed, with the core font that every reader has."""
    pdf = _Page(format="A4")
    pdf.set_compression(False)
    pdf.set_creation_date(WRITTEN)
    pdf.set_producer("Tiffin sample")
    pdf.set_title("Protocol BRN-204: brinsidine for the prevention of migraine")
    pdf.set_margins(22, 16, 22)
    pdf.set_auto_page_break(True, 22)
    pdf.add_page()
    pdf.set_font("helvetica", "B", 18)
    pdf.multi_cell(0, 9, "Brinsidine for the prevention of episodic migraine", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", size=10)
    pdf.multi_cell(
        0, 6, "Clinical trial protocol BRN-204, version 3.0 of 14 January 2031", new_x="LMARGIN", new_y="NEXT"
    )
    before = ""
    for mark, words in _lines(PROTOCOL):
        if before == "|" and mark != "|":
            pdf.ln(2)
        if mark == "|" and before != "|":
            pdf.set_font("helvetica", "B", 10)
        _draw(pdf, mark, words)
        pdf.set_font("helvetica", size=10)
        before = mark
    return bytes(pdf.output())


def _draw(pdf: FPDF, mark: str, words: str) -> None:
    if mark in ("#", "##"):
        size = 14 if mark == "#" else 11
        if pdf.will_page_break(60 if mark == "#" else 35):  # no heading stands alone at the foot of a page
            pdf.add_page()
        pdf.ln(4 if mark == "#" else 2)
        pdf.set_font("helvetica", "B", size)
        pdf.multi_cell(0, size * 0.6, words, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(1)
    elif mark == "|":
        for cell in words.split(" | "):
            pdf.cell(55, 5.5, cell.strip(), border="B")
        pdf.ln(5.5)
    elif mark == "-":
        pdf.cell(6, 5.2, "-")
        pdf.multi_cell(0, 5.2, words, new_x="LMARGIN", new_y="NEXT")
    else:
        pdf.multi_cell(0, 5.2, words, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(1.5)


def procedure() -> bytes:
    """The procedure as a Word file, with real heading, list and table styles."""
    document = docx.Document()
    _lighten(document)
    properties = document.core_properties
    properties.title = "SOP-022 Storage of trial medication"
    properties.author, properties.last_modified_by = SPONSOR, SPONSOR
    properties.created = properties.modified = WRITTEN.replace(tzinfo=None)
    properties.comments = ""
    section = document.sections[0]
    section.header.paragraphs[0].text = "SOP-022, version 4, effective 1 October 2030"
    section.footer.paragraphs[0].text = "Printed copies are valid only on the day of printing."
    document.add_heading("SOP-022: Storage of trial medication and temperature excursions", 0)
    table = None
    for mark, words in _lines(SOP):
        if mark == "|":
            cells = words.split(" | ")
            if table is None:
                table = document.add_table(rows=0, cols=len(cells), style="Table Grid")
            for cell, text in zip(table.add_row().cells, cells, strict=True):
                cell.text = text.strip()
            continue
        table = None
        if mark == "#":
            document.add_heading(words, 1)
        else:
            document.add_paragraph(words, style="List Number" if mark == "1." else None)
    buffer = io.BytesIO()
    document.save(buffer)
    return _stored(buffer.getvalue())


def _lighten(document: Document) -> None:
    """Leave out what python-docx's template carries and this document does not use: 800 kB of table styles."""
    for style in list(document.styles):
        if style.type == WD_STYLE_TYPE.TABLE and style.name not in ("Normal Table", "Table Grid"):
            style.delete()
    for owner in (document.part, document.part.package):
        for key, relation in list(owner.rels.items()):
            if relation.reltype.endswith(("/stylesWithEffects", "/thumbnail")):
                del owner.rels[key]


def events() -> bytes:
    """The list of adverse events as CSV."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(EVENT_COLUMNS)
    writer.writerows(csv.reader(EVENTS.strip().splitlines()))
    return out.getvalue().encode()


def schedule() -> bytes:
    """The visit schedule as a workbook of three sheets."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"title": "Visit schedule of BRN-204", "author": SPONSOR, "created": WRITTEN})
        bold = book.add_format({"bold": True})
        for name, rows in (("Visits", VISITS), ("Assessments", ASSESSMENTS), ("Sites", SITES)):
            sheet = book.add_worksheet(name)
            sheet.set_column(0, len(rows[0]) - 1, 20)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row, bold if number == 0 else None)
    return _stored(buffer.getvalue())


def questions() -> bytes:
    """Questions that the files answer, and some that they do not."""
    asked = [{"question": q, "answer_contains": a, "document": d} for q, a, d in QUESTIONS]
    return (json.dumps(asked, indent=2, ensure_ascii=False) + "\n").encode()


def _stored(data: bytes) -> bytes:
    """The same zip members, sorted, dated alike and uncompressed, so that the bytes depend on their content only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        first = "[Content_Types].xml"  # where readers of office files look first
        for name in sorted(source.namelist(), key=lambda member: (member != first, member)):
            info = zipfile.ZipInfo(name, WRITTEN.timetuple()[:6])
            info.create_system = 3
            target.writestr(info, source.read(name))
    return buffer.getvalue()


def write(folder: Path) -> None:
    """Write all files of the collection into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("protocol.pdf", protocol()),
        ("sop-022-storage.docx", procedure()),
        ("adverse-events.csv", events()),
        ("temperature-notice.html", NOTICE.encode()),
        ("committee-minutes.md", MINUTES.encode()),
        ("visit-schedule.xlsx", schedule()),
        ("questions.json", questions()),
    ):
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
