"""XML: words in order, records as rows, entities without surprises."""

from __future__ import annotations

from tests.knowledge.parse.reading import blocks, parsed, refused


def test_prose_and_titles() -> None:
    document = parsed(
        b"<?xml version='1.0'?><doc><title>A <i>big</i> title</title><p>One <b>two</b> three.</p></doc>", "a.xml"
    )
    assert blocks(document) == [("heading", "A big title"), ("paragraph", "One two three.")]
    assert document.title == "A big title"


def test_records_are_rows_with_names() -> None:
    data = b"<list><subject><siteNumber>03</siteNumber><age>44</age></subject></list>"
    assert blocks(parsed(data, "a.xml")) == [("table_row", "site Number: 03 | age: 44")]


def test_entities_of_the_file_are_read_and_others_stay() -> None:
    inside = b'<!DOCTYPE a [<!ENTITY drug "Velorin">]><a><p>take &drug; &amp; water</p></a>'
    outside = b'<!DOCTYPE a SYSTEM "x.dtd"><a><p>5&nbsp;mg of &alpha;-x &unknown;</p></a>'
    assert parsed(inside, "a.xml").text == "take Velorin & water"
    assert parsed(outside, "a.xml").text == "5 mg of α-x &unknown;"


def test_encoding_that_lies_is_read_anyway() -> None:
    data = '<?xml version="1.0" encoding="utf-8"?><a><p>café au lait</p></a>'.encode("latin-1")
    assert parsed(data, "a.xml").text == "café au lait"


def test_html_inside_a_feed_is_read_as_html() -> None:
    data = b"<rss><item><description>&lt;p&gt;One&lt;/p&gt;&lt;p&gt;Two&lt;/p&gt;</description></item></rss>"
    assert [text for _, text in blocks(parsed(data, "a.xml"))] == ["One", "Two"]


def test_broken_and_wordless_files_are_refused() -> None:
    assert refused(b"<?xml version='1.0'?><a><b></a>", "a.xml").reason == "corrupt"
    assert refused(b"<?xml version='1.0'?><a x='1'><b/></a>", "a.xml").reason == "empty"
