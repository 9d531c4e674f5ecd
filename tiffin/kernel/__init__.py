"""Values and the one path. Standard library and msgspec only; no I/O."""
