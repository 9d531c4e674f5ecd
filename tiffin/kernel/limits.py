"""Every bound that is shared between modules, named, with its unit and its reason."""

from __future__ import annotations

# --- bodies and values
BODY_BYTES_MAX = 16 << 20  # a JSON body; the largest chat of a 128k-token model is about 1 MiB
UPLOAD_BYTES_MAX = 100 << 20  # one uploaded file; the largest real filing seen is 40 MiB
UPLOAD_FILES_MAX = 64  # files in one multipart request
NAME_CHARS_MAX = 128  # a collection, project, alias or key name
DOCUMENT_ID_CHARS_MAX = 512  # a document id, often a relative path
QUESTION_CHARS_MAX = 8_192  # a question or search query
MODEL_CHARS_MAX = 256  # a model's name; 'rag:' and the longest collection have 132
STOPS_MAX = 32  # texts that stop an answer; OpenAI takes 4
STOP_CHARS_MAX = 1_024  # one of them
SCHEMA_CHARS_MAX = 65_536  # of a JSON schema; a grammar of 3,000 properties holds an engine for 40 s
SCHEMA_DEPTH_MAX = 64  # levels of a JSON schema; engines walk it recursively
MESSAGES_MAX = 2_048  # messages in one chat
DOCUMENTS_PER_REQUEST_MAX = 10_000  # documents in one JSON body, made into as many calls as they need
DOCUMENTS_PER_CALL_MAX = 64  # documents in one Ingest call: one receipt, one group of embeddings
EMBED_TEXTS_MAX = 2_048  # texts in one Embed call, as at OpenAI
SUBJECT_CHARS_MAX = 128  # of one person's name or number, wherever it is given
SUBJECTS_PER_DOCUMENT_MAX = 64  # people named on one document
SUBJECTS_MAX = 1_000  # people whom one call may be about: each has a key, and all of them open its payload
TEXT_CHARS_MAX = 20_000_000  # characters of one document

# --- search and answers
SEARCH_LIMIT_MAX = 200  # hits in one search
TOKENS_MAX = 1 << 30  # output tokens that a caller may ask for; engines count in 32 bits
ANSWER_TOKENS_DEFAULT = 1_024  # output tokens of a chat whose caller set none; a small model may never stop by itself

# --- the ledger
ENTRY_BYTES_MAX = 65_535  # an entry is prefixed by a uint16 length (C2SP tlog-tiles)
SOURCES_PER_ENTRY_MAX = 256  # beyond it the entry holds their count and digest

# --- waits
SILENCE_S_MAX = 120.0  # between two reads of a provider; a local model may have to read a long prompt on two cores
CALL_S_MAX = 600.0  # one provider call, from connect to finish
CONNECT_S_MAX = 5.0  # TCP connect
CLOSE_S_MAX = 30.0  # settling and closing a receipt after the caller has gone
CHILD_DEPTH_MAX = 8  # calls inside calls
