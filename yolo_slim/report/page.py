"""The page of a compression run: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from yolo_slim.files import whole_file
from yolo_slim.report.model import ClassRow, Report, StepRow
from yolo_slim.report.plan_tables import PlanTables
from yolo_slim.report.plots import Figure, figures
from yolo_slim.report.shell import facts, figure, html_page, plot_places, table
from yolo_slim.report.table import (
    NOT_MEASURED,
    QUANTITIES,
    cells,
    duration,
    latex,
    markdown,
    measured_quantities,
    percent,
    points,
)

PAGE = "report.html"
"""Its name in the folder of a run."""


def write_report(path: Path, report: Report) -> None:
    """Writes the page, whole or not at all; its folder is made if need be."""
    with whole_file(path) as temporary:
        temporary.write_text(render(report), encoding="utf-8")


def render(report: Report) -> str:
    """The page as HTML: about 5 MB with plots (the library is inlined), a few kB without."""
    plots = figures(report)
    parts = [
        _headline(report),
        _steps(report),
        _plots(plots),
        _plans(report.plans),
        _classes(report.classes),
        _pictures(report.pictures),
        _notes(report.notes),
        _history(report.history),
        facts("Settings", report.settings),
        _circumstances(report),
    ]
    return html_page(report.title, parts, plots)


def _headline(report: Report) -> str:
    summary = f'<p class="summary">{escape(report.summary)}</p>' if report.summary else ""
    cards = "" if report.side_by_side else "".join(_cards(report.steps))
    return (
        f"<header><h1>{escape(report.title)}</h1>{summary}"
        + (f'<dl class="cards">{cards}</dl>' if cards else "")
        + "</header>"
    )


def _cards(steps: Sequence[StepRow]) -> Iterator[str]:
    """First against last row that was kept, one card for each quantity that both have."""
    kept = [step for step in steps if step.kept]
    if len(kept) < 2:
        return
    first, *_, last = cells(kept)
    for quantity, before, after in zip(QUANTITIES, first, last, strict=True):
        if after.against_first:
            unit = " points" if quantity.compare is points else ""
            yield (
                f'<div class="card"><dt>{quantity.title}</dt>'
                f'<dd class="change">{after.against_first}<small>{unit}</small></dd>'
                f'<dd class="from">{before.text} → {after.text}</dd></div>'
            )


def _steps(report: Report) -> str:
    steps, title = report.steps, report.row_title
    if not steps:
        return ""
    shown = measured_quantities(steps)
    timed = any(step.seconds is not None for step in steps)
    runtimes = {step.runtime for step in steps if step.latency_ms is not None}
    head = [f'<th class="text">{title}</th>']
    head += [f"<th>{QUANTITIES[position].title}</th>" for position in shown]
    head += ["<th>Took</th>"] if timed else []
    head += ['<th class="text">Runtime</th>'] if runtimes - {None} else []
    rows = []
    for step, numbers in zip(steps, cells(steps), strict=True):
        verb = f'<span class="verb">{escape(step.verb)}</span>' if step.verb else ""
        row = [f'<th class="text" scope="row">{escape(step.name)}{verb}</th>']
        for cell in (numbers[position] for position in shown):
            against = f'<span class="against">{cell.against_first}</span>'
            row.append(f"<td>{cell.text}{against if cell.against_first else ''}</td>")
        if timed:
            took = NOT_MEASURED if step.seconds is None else duration(step.seconds)
            row.append(f"<td>{took}</td>")
        if runtimes - {None}:
            row.append(f'<td class="text">{escape(step.runtime or NOT_MEASURED)}</td>')
        rows.append(f"<tr>{''.join(row)}</tr>")
    mixed = " Latencies come from different runtimes; their ratios include that change."
    return (
        f'<section><h2>{title}s</h2><div class="wide"><table class="steps">'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="quiet">Small figures compare with the first row: a ratio, or a difference in '
        "percentage points for AP. k, M and G are powers of 1000."
        f"{mixed if len(runtimes) > 1 else ''}</p>"
        '<details class="screen"><summary>Table to copy: Markdown, LaTeX</summary>'
        f"<pre>{escape(markdown(steps, title))}</pre><pre>{escape(latex(steps, title))}</pre>"
        "</details></section>"
    )


def _plots(plots: dict[str, Figure]) -> str:
    """Training curves stand side by side, the other plots take the full width."""
    places = plot_places(plots)
    if not places:
        return ""
    training = [place for heading, place in places.items() if heading.startswith("Training: ")]
    others = [place for place in places.values() if place not in training]
    pair = f'<div class="pair">{"".join(training)}</div>' if training else ""
    return (
        f"<h2>Plots</h2><noscript><p>Plots need JavaScript.</p></noscript>{''.join(others)}{pair}"
    )


def _plans(plans: Mapping[str, PlanTables]) -> str:
    """A part for each step that has decided something, folded up."""
    parts = []
    for name, plan in plans.items():
        notes = "".join(f"<p>{escape(note)}</p>" for note in plan.notes)
        tables = "".join(
            f"<h3>{title}</h3>{table(rows)}"
            for title, rows in (
                ("Blocks", plan.layers),
                ("Convolutions", plan.convolutions),
                ("What blocks read", plan.entrances),
                ("Zeros", plan.zeros),
                ("Factors", plan.factors),
            )
            if rows
        )
        parts.append(
            f"<details><summary>What {escape(name)} has decided</summary>{notes}{tables}</details>"
        )
    return f"<section><h2>Plans</h2>{''.join(parts)}</section>" if parts else ""


def _classes(classes: Sequence[ClassRow]) -> str:
    if not classes:
        return ""
    rows = "".join(
        f'<tr><th class="text" scope="row">{escape(row.name)}</th><td>{row.n_boxes}</td>'
        f"<td>{_percent(row.first_AP)}</td><td>{_percent(row.last_AP)}</td>"
        f"<td>{_change(row)}</td></tr>"
        for row in sorted(classes, key=_loss_first)
    )
    return (
        '<section><h2>Classes</h2><details class="classes"><summary>AP of each class, the largest '
        'loss first</summary><div class="wide"><table><thead><tr><th class="text">Class</th>'
        "<th>Boxes</th><th>AP first, %</th><th>AP last, %</th><th>Points</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details></section>"
    )


def _percent(fraction: float | None) -> str:
    return NOT_MEASURED if fraction is None or fraction < 0 else percent(fraction)


def _change(row: ClassRow) -> str:
    if row.first_AP is None or row.last_AP is None or min(row.first_AP, row.last_AP) < 0:
        return NOT_MEASURED
    return points(row.last_AP, row.first_AP)


def _loss_first(row: ClassRow) -> float:
    if _change(row) == NOT_MEASURED:
        return math.inf
    return (row.last_AP or 0) - (row.first_AP or 0)


def _pictures(pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    if not pictures:
        return ""
    shown = "".join(figure(caption, image_bgr) for caption, image_bgr in pictures)
    return f'<section><h2>Detections</h2><div class="pair pictures">{shown}</div></section>'


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>Notes</h2><ul>{items}</ul></section>" if notes else ""


def _history(rows: Sequence[Sequence[str]]) -> str:
    return f"<section><h2>History</h2>{table(rows, words=True)}</section>" if rows else ""


def _circumstances(report: Report) -> str:
    recipe = f"<section><h2>Recipe</h2><pre>{escape(report.recipe)}</pre></section>"
    return facts("Circumstances", report.circumstances) + (recipe if report.recipe else "")
