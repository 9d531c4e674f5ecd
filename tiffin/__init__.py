"""Tiffin: the whole generative-AI stack in one carrier, with a receipt for every call that a stranger can verify."""

__version__ = "0.1.0"
