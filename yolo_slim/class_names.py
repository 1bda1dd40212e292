"""What classes are called where each needs a name of its own."""

from __future__ import annotations

from collections.abc import Sequence


def unique_names(names: Sequence[str]) -> list[str]:
    """Names that occur twice get the number of their class.

    >>> unique_names(("cat", "dog", "cat"))
    ['cat (0)', 'dog', 'cat (2)']
    """
    return [f"{name} ({k})" if names.count(name) > 1 else name for k, name in enumerate(names)]
