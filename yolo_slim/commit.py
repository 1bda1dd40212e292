"""Which commit this package is: for numbers and files that are to be made again."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path


@cache
def commit(of: Path = Path(__file__)) -> str | None:
    """Twelve digits of the commit of the checkout that holds the file, with '-dirty' where files
    of it have been changed; None outside of one.

    Asked once: what is imported does not change with the checkout.
    """
    # A package that is installed below somebody's checkout is no part of it.
    if _git(of.parent, "ls-files", "--error-unmatch", of.name) is None:
        return None
    # Without tags, which may be added later: a commit has one name.
    return _git(of.parent, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        told = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()
