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


def printable(text: str) -> str:
    r"""A text with names from a file of anyone's: nothing in it steers the terminal.

    >>> printable("a\x1b[2J.png")
    'a�[2J.png'
    """
    return "".join(c if c.isprintable() else "�" for c in text)


def percent(share: float) -> str:
    """One digit behind the point; of a small share two figures, so that it does not read as none.

    >>> percent(0.3), percent(0.0049), percent(0.00012), percent(0.0)
    ('30.0%', '0.5%', '0.012%', '0.0%')
    """
    return f"{share:.1%}" if share == 0 or share >= 0.001 else f"{100 * share:.2g}%"
