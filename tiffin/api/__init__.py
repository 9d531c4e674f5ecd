"""Inbound: HTTP framing, and from a path to a wire to a call. Nothing here decides, executes or records."""
