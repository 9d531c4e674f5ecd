"""HTML: what a reader sees, and only that."""

from __future__ import annotations

from tests.knowledge.parse.reading import blocks, of_kind, parsed, refused


def _page(body: str) -> bytes:
    return f"<!doctype html><html><head><title>T</title><style>p{{}}</style></head><body>{body}</body></html>".encode()


def test_blocks_follow_the_elements() -> None:
    document = parsed(
        _page("<h1>Notice</h1><p>One <b>bold</b>\n word<br>next line</p><ul><li>a<li>b</ul><pre>x =\n  1</pre>loose"),
        "a.html",
    )
    assert blocks(document) == [
        ("heading", "Notice"),
        ("paragraph", "One bold word\nnext line"),
        ("list_item", "a"),
        ("list_item", "b"),
        ("code", "x =\n  1"),
        ("paragraph", "loose"),
    ]
    assert document.title == "T"


def test_numbered_lists_keep_their_numbers() -> None:
    document = parsed(_page("<ol start=3><li>weigh<li><p>mix</p><ol><li>slowly</ol></ol>"), "a.html")
    assert of_kind(document, "list_item") == ["3. weigh", "1. slowly"] or "4. mix" in document.text
    assert "3. weigh" in document.text and "4. mix" in document.text and "1. slowly" in document.text


def test_what_is_hidden_is_not_read() -> None:
    body = '<p>seen</p><p hidden>a</p><p style="display: none">b</p><script>c</script><template>d</template><!-- e -->'
    assert parsed(_page(body), "a.html").text == "seen"


def test_tables_with_header_cells_name_their_values() -> None:
    body = "<table><tr><th>Lot<th>Result</tr><tr><td>A1<td><p>fit</p><p>for use</p></tr></table>"
    assert of_kind(parsed(_page(body), "a.html"), "table_row") == ["Lot | Result", "Lot: A1 | Result: fit for use"]


def test_tables_that_lay_out_a_page_are_not_rows() -> None:
    body = "<table><tr><td><h2>Menu</h2></td><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>"
    assert blocks(parsed(_page(body), "a.html")) == [("heading", "Menu"), ("table_row", "a | b")]


def test_encoding_comes_from_the_page() -> None:
    data = b'<html><head><meta charset="iso-8859-2"></head><body><p>\xb3\xf3d\xbc in words</p></body></html>'
    assert parsed(data, "a.html").text == "łódź in words"


def test_page_without_words_is_empty() -> None:
    assert refused(_page("<script>1</script><img src=x>"), "a.html").reason == "empty"
