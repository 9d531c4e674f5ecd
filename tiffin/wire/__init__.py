"""Pure codecs, one file a format, each used in both directions.

Bytes and dicts in, kernel values out, and back; no I/O.
"""
