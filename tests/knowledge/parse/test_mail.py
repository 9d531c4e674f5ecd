"""Mail: headers, bodies, attachments by name, and what is sealed."""

from __future__ import annotations

from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from tests.knowledge.parse.reading import blocks, parsed, refused


def _message(body: str = "Dear all,\n\nthe dose is 40 mg.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Ilse <ilse@example.org>", "site@example.org"
    message["Subject"], message["Date"] = "Dose of Velorin – cohort 2", "Mon, 03 Mar 2031 09:00:00 +0100"
    message.set_content(body)
    return message


def test_headers_then_body_then_attachments() -> None:
    message = _message()
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="plan.pdf")
    document = parsed(message.as_bytes(), "a.eml")
    said = [text for _, text in blocks(document)]
    assert said[0].startswith("From: Ilse <ilse@example.org>\nTo: site@example.org\nDate: Mon, 03 Mar 2031")
    assert said[1:] == ["Dear all,", "the dose is 40 mg.", "Attachment: plan.pdf"]
    assert document.title == "Dose of Velorin – cohort 2"
    assert document.notes == ("The message carries 1 attached file, not read.",)


def test_html_stands_in_where_there_is_no_plain_text() -> None:
    message = _message()
    message.set_content("<h1>Hold</h1><p>Stop dosing.</p>", subtype="html")
    assert blocks(parsed(message.as_bytes(), "a.eml"))[1:] == [("heading", "Hold"), ("paragraph", "Stop dosing.")]


def test_plain_text_is_taken_once_beside_html() -> None:
    message = _message("only once\n")
    message.add_alternative("<p>only once</p>", subtype="html")
    assert parsed(message.as_bytes(), "a.eml").text.count("only once") == 1


def test_forwarded_message_is_read() -> None:
    outer = _message("see below\n")
    outer.add_attachment(_message("the original\n"))
    assert "Forwarded message" in parsed(outer.as_bytes(), "a.eml").text
    assert "the original" in parsed(outer.as_bytes(), "a.eml").text


def test_mail_in_utf_16_is_not_silently_empty() -> None:
    document = parsed(_message("größer als null\n").as_string().encode("utf-16"), "a.eml")
    assert "Dose of Velorin" in document.text and len(document.blocks) >= 2


def test_encrypted_mail_is_refused() -> None:
    head = b"From: a@example.org\nTo: b@example.org\nSubject: s\nMIME-Version: 1.0\n"
    sealed = head + b'Content-Type: multipart/encrypted; boundary="x"\n\n--x\n\nno\n--x--\n'
    smime = head + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB\n"
    assert refused(sealed, "a.eml").reason == "encrypted"
    assert refused(smime, "a.eml").reason == "encrypted"


def test_mail_is_known_without_its_extension() -> None:
    assert parsed(_message().as_bytes(), "message").kind == "email"


def test_text_about_mail_is_no_mail() -> None:
    assert parsed(b"Subject: a word that starts a sentence.\n\nMore text follows here.\n", "a.txt").kind == "text"


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda s: s.split() and s.isprintable()))
def test_any_subject_and_body_survive(said: str) -> None:
    message = EmailMessage()
    message["From"] = "a@example.org"
    message["Subject"] = said
    message.set_content(said)
    document = parsed(message.as_bytes(), "a.eml")
    assert " ".join(said.split()) in " ".join(document.text.split())
