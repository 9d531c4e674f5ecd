"""Documents to text with exact offsets, each file in its own confined process; refused files say why."""

from __future__ import annotations

from tiffin.knowledge.parse.parser import Parser
from tiffin.knowledge.parse.values import Block, Page, Parsed, ParserUnavailable, Refused, searchable

__all__ = ["Block", "Page", "Parsed", "Parser", "ParserUnavailable", "Refused", "searchable"]
