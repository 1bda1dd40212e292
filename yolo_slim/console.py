"""What is told to a person. A text is printed as it is: a path may hold [brackets]."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def plain_console() -> Console:
    """A console that takes nothing in a text, or in a cell of a table, for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def warn(console: Console, text: str) -> None:
    """Prints what may have been done wrong."""
    console.print(Text("warning: ", "yellow").append(text, "default"))


def note(console: Console, text: str) -> None:
    """Prints what is worth knowing."""
    console.print(Text("note: ", "yellow").append(text, "default"))
