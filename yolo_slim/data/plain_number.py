"""Numbers as annotation files have them."""

from __future__ import annotations


def plain_float(text: str) -> float:
    """The number that a text says. ValueError for what only Python takes for one: `1_0`, digits of
    other scripts."""
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return float(text)
