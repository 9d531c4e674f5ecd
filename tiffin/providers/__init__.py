"""Outbound: which models there are, how to reach them, and the one HTTP client."""
