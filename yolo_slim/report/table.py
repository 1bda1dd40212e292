"""The table of steps: how its numbers are written, for the terminal, a paper and the page alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from yolo_slim.report.model import StepRow

NOT_MEASURED = "–"
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def human(n: float, unit: str = "") -> str:
    """A number in k, M or G: powers of 1000, also for bytes.

    A bare count goes down to a tenth of its prefix, as papers write parameters and MACs; a number
    with a unit does not.

    >>> human(8_670_000), human(410e6), human(34.7e6, "B"), human(248e6, "B"), human(32)
    ('8.67 M', '0.41 G', '34.7 MB', '248 MB', '32')
    """
    least = 1 if unit else 0.1
    for factor, prefix in _PREFIXES:
        if n >= least * factor:
            return f"{_three_figures(n / factor)} {prefix}{unit}"
    return f"{n:g} {unit}".rstrip()


def duration(seconds: float) -> str:
    """
    >>> duration(4.21), duration(75), duration(3 * 3600 + 120)
    ('4.2 s', '1 min 15 s', '3 h 02 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def ratio(value: float, first: float) -> str | None:
    """How many times the first value: ×0.25 is a quarter. None where the first is 0."""
    if not first:
        return None
    times = value / first
    return f"×{times:.0f}" if times >= 9.95 else f"×{times:.2g}"


def points(value: float, first: float) -> str:
    """Difference of two fractions in percentage points, with its sign."""
    difference = round(100 * (value - first), 2)
    return "±0.00" if difference == 0 else f"{difference:+.2f}".replace("-", "−")


def percent(fraction: float) -> str:
    """A fraction as a percentage without its sign, as papers print AP: 0.1615 is 16.15."""
    return f"{100 * fraction:.2f}"


@dataclass(frozen=True)
class Quantity:
    """A column of the table: where it stands in a row, how it is written, how it is compared."""

    title: str
    attribute: str
    write: Callable[[float], str]
    compare: Callable[[float, float], str | None]

    def of(self, step: StepRow) -> float | None:
        """The measured value; COCO's -1 for "undefined" counts as not measured."""
        value = getattr(step, self.attribute)
        return None if value is None or value < 0 else value


QUANTITIES = (
    Quantity("Parameters", "parameters", human, ratio),
    Quantity("MACs", "macs", human, ratio),
    Quantity("File", "file_bytes", lambda n: human(n, "B"), ratio),
    Quantity("Latency", "latency_ms", lambda ms: f"{_three_figures(ms)} ms", ratio),
    Quantity("AP, %", "AP", percent, points),
    Quantity("AP50, %", "AP50", percent, points),
)


@dataclass(frozen=True)
class Cell:
    """A number as written; against the first row, None where there is nothing to compare."""

    text: str
    against_first: str | None = None


def cells(steps: Sequence[StepRow]) -> list[list[Cell]]:
    """A row for each step with a cell for each of QUANTITIES."""
    return [
        [_cell(quantity, step, steps[0] if row else None) for quantity in QUANTITIES]
        for row, step in enumerate(steps)
    ]


def _cell(quantity: Quantity, step: StepRow, first: StepRow | None) -> Cell:
    value = quantity.of(step)
    if value is None:
        return Cell(NOT_MEASURED)
    reference = quantity.of(first) if first else None
    against_first = None if reference is None else quantity.compare(value, reference)
    return Cell(quantity.write(value), against_first)


def measured_quantities(steps: Sequence[StepRow]) -> list[int]:
    """Positions in QUANTITIES of the columns that hold at least one number."""
    return [
        position
        for position, quantity in enumerate(QUANTITIES)
        if any(quantity.of(step) is not None for step in steps)
    ]


def step_table(steps: Sequence[StepRow], title: str = "Step") -> Table:
    """The steps for a terminal, each number with its ratio (or difference in points) to the first
    row's in brackets; columns without any number are left out."""
    shown = measured_quantities(steps)
    table = Table()
    table.add_column(title, no_wrap=True)
    for position in shown:
        table.add_column(QUANTITIES[position].title, justify="right")
    for step, row in zip(steps, cells(steps), strict=True):
        table.add_row(Text(step.name), *(_one_line(row[i]) for i in shown))
    return table


def markdown(steps: Sequence[StepRow], title: str = "Step") -> str:
    """The same table as Markdown."""
    head, *body = _plain_rows(steps, title)
    rule = ["---"] + ["---:"] * (len(head) - 1)
    escaped = [[text.replace("|", "\\|") for text in row] for row in (head, rule, *body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def latex(steps: Sequence[StepRow], title: str = "Step") -> str:
    """The same table as a LaTeX `tabular` (package booktabs)."""
    head, *body = [[_latex_escaped(text) for text in row] for row in _plain_rows(steps, title)]
    lines = [" & ".join(row) + r" \\" for row in body]
    columns = "l" + "r" * (len(head) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _plain_rows(steps: Sequence[StepRow], title: str) -> Iterator[list[str]]:
    shown = measured_quantities(steps)
    yield [title, *(QUANTITIES[position].title for position in shown)]
    for step, row in zip(steps, cells(steps), strict=True):
        yield [step.name, *(_one_line(row[position]) for position in shown)]


def _one_line(cell: Cell) -> str:
    return f"{cell.text} ({cell.against_first})" if cell.against_first else cell.text


def _latex_escaped(text: str) -> str:
    special = {letter: f"\\{letter}" for letter in "&%$#_{}"}
    special |= {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "×": r"$\times$",
        "−": "$-$",
        "±": r"$\pm$",
        "–": "--",
    }
    return "".join(special.get(letter, letter) for letter in text)


def _three_figures(value: float) -> str:
    """Two decimals below 10, one below 100, none above.

    >>> [_three_figures(value) for value in (0.412, 9.996, 99.94, 410.2)]
    ['0.41', '10.0', '99.9', '410']
    """
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"
