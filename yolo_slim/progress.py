"""How far a long piece of work is, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 30


def progress_bar(console: Console) -> Progress:
    """What every long piece of work shows on a terminal: text, bar, share, time gone, time left."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def advancing(text: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar for one piece of work, where the output goes to a file a line now and then; yields
    advance(done, total)."""
    if not console.is_terminal:
        yield _lines(text, console)
        return
    with progress_bar(console) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(text: str, console: Console) -> Callable[[int, int], None]:
    last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY_S and done < total:
            last = now
            console.print(f"{text}: {done} of {total}")

    return advance
