#!/usr/bin/env python3
"""Checks citations without Tiffin: every quote must be exactly text[start:end] of the document version that it names.

    python docs/check_citations.py answers.json --url http://127.0.0.1:8420 --key-file .tiffin/admin.key

`answers.json` holds one answer of POST /api/v1/ask, or a list of them, or one a line. Offsets are Unicode code points,
as Python's strings count. Standard library only. Exit code 0: all exact; 1: some are not; 2: it could not be checked.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 30  # one document


def read_answers(path):
    with open(path, encoding="utf-8") as file:
        content = file.read()
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        value = [json.loads(line) for line in content.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]


def citations(answer):
    """Those of the whole answer and those of its sentences; they must be the same ones."""
    whole = answer.get("citations", [])
    of_sentences = [citation for sentence in answer.get("sentences", []) for citation in sentence["citations"]]
    return whole + [citation for citation in of_sentences if citation not in whole]


def fetch_text(url, key, citation):
    path = "/api/v1/collections/{}/documents/{}?version={}".format(
        urllib.parse.quote(citation["collection"], safe=""),
        urllib.parse.quote(citation["document"], safe=""),
        int(citation["version"]),
    )
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address must begin with http:// or https://")
    request = urllib.request.Request(url.rstrip("/") + path, headers={"authorization": "Bearer " + key})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        return json.load(response)["text"]


def problem(citation, text):
    """What is wrong with a citation, or None."""
    start, end, quote = citation["start"], citation["end"], citation["quote"]
    if not quote:
        return "the quote is empty"
    if not 0 <= start < end <= len(text):
        return f"characters {start} to {end} are not in a text of {len(text)}"
    if text[start:end] != quote:
        return f"the text there is {text[start:end][:80]!r}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("answers", help="JSON file with answers of POST /api/v1/ask")
    parser.add_argument("--url", default="http://127.0.0.1:8420", help="where Tiffin answers")
    parser.add_argument("--key-file", help="file that holds an API key; else the variable TIFFIN_API_KEY")
    options = parser.parse_args()
    if options.key_file:
        with open(options.key_file, encoding="utf-8") as file:
            key = file.read().strip()
    else:
        key = os.environ.get("TIFFIN_API_KEY", "")
    texts, checked, wrong = {}, 0, 0
    for answer in read_answers(options.answers):
        for citation in citations(answer):
            source = (citation["collection"], citation["document"], citation["version"])
            if source not in texts:
                texts[source] = fetch_text(options.url, key, citation)
            what = problem(citation, texts[source])
            checked += 1
            if what:
                wrong += 1
                print("{} version {}: {!r}: {}".format(*source[1:], citation["quote"][:60], what))
    print(f"{checked} citations of {len(texts)} documents checked, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError) as error:
        print(f"could not check: {error}", file=sys.stderr)
        sys.exit(2)
