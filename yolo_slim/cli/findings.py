"""What a check has found, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from yolo_slim.console import printable

EXAMPLES = 3
STYLES = {"fault": "red", "warning": "yellow", "note": "default"}


@dataclass(frozen=True)
class FindingsRow:
    """All findings of one kind. found: a line for each of them, or of the first; advice: what to
    do."""

    severity: str
    kind: str
    count: int
    found: Sequence[str]
    advice: str


def findings_table(rows: Iterable[FindingsRow], column: str = "kind") -> Table:
    """Kinds with their counts and examples; column: what a kind is called."""
    table = Table(column, title="Findings", show_lines=True)
    table.add_column("count", justify="right")
    table.add_column("the first ones, and what to do")
    for row in rows:
        told = Text("\n".join(map(printable, row.found))).append(f"\n→ {row.advice}", "italic")
        kind = Text(f"{row.severity}\n", STYLES[row.severity]).append(row.kind)
        table.add_row(kind, str(row.count), told)
    return table
