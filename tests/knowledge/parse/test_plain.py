"""Markdown and text: the text is the file's own, and blocks point into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.knowledge.parse.reading import blocks, of_kind, parsed
from tiffin.knowledge.parse.plain import parse_markdown, parse_text
from tiffin.knowledge.parse.values import fault

MARKDOWN = """# Minutes of the committee

Present: three members,
all voting.

## Decisions

1. Continue.
   Without change.
2. Meet again.

| Site | Count |
|------|-------|
| 01   | 9     |

```
code # not a heading

still code
```
Old style
---------
"""


def test_markdown_blocks() -> None:
    document = parsed(MARKDOWN.encode(), "a.md")
    assert document.text == MARKDOWN
    assert document.title == "Minutes of the committee"
    assert of_kind(document, "heading") == ["# Minutes of the committee", "## Decisions", "Old style\n---------"]
    assert of_kind(document, "list_item") == ["1. Continue.\n   Without change.", "2. Meet again."]
    assert of_kind(document, "code") == ["```\ncode # not a heading\n\nstill code\n```"]
    assert len(of_kind(document, "table_row")) == 3


def test_text_blocks() -> None:
    text = (
        "1.2 Storage of samples\r\n\r\nKeep them cold.\r\nAlways.\r\n\r\n- first\r\n- second\r\n\r\nWARNING\r\n\r\nend"
    )
    document = parsed(text.encode(), "a.txt")
    assert document.text == text
    assert blocks(document) == [
        ("heading", "1.2 Storage of samples"),
        ("paragraph", "Keep them cold.\r\nAlways."),
        ("list_item", "- first"),
        ("list_item", "- second"),
        ("heading", "WARNING"),
        ("paragraph", "end"),
    ]


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: bool(text.strip())))
def test_any_text_is_kept_and_every_word_is_in_a_block(text: str) -> None:
    for parse in (parse_text, parse_markdown):
        document = parse(text)
        assert document.text == text
        assert fault(document) is None
        covered = "".join(document.text[b.start : b.end] for b in document.blocks)
        assert "".join(covered.split()) == "".join(text.split())
