"""The page of a compression run: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path

import cv2
import numpy as np
from plotly.offline import get_plotlyjs

from yolo_slim.errors import RunError
from yolo_slim.files import whole_file
from yolo_slim.report.model import ClassRow, Report, StepRow
from yolo_slim.report.plots import Figure, figures
from yolo_slim.report.style import SCRIPT, STYLE
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

_LONGEST_PICTURE_SIDE_PX = 1280
_JPEG_QUALITY = 88
# The browser itself is told to refuse every request that the page could make.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


def write_report(path: Path, report: Report) -> None:
    """Writes the page, whole or not at all; its folder is made if need be."""
    with whole_file(path) as temporary:
        temporary.write_text(render(report), encoding="utf-8")


def render(report: Report) -> str:
    """The page as HTML: about 5 MB with plots (the library is inlined), a few kB without."""
    plots = figures(report)
    parts = [
        _headline(report),
        _steps(report.steps),
        _plots(plots),
        _classes(report.classes),
        _pictures(report.pictures),
        _notes(report.notes),
        _circumstances(report),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report.title)}</title>",
            f"<style>{STYLE}</style></head><body>",
            *(part for part in parts if part),
            *_scripts(list(plots.values())),
            "</body></html>\n",
        ]
    )


def _headline(report: Report) -> str:
    summary = f'<p class="summary">{escape(report.summary)}</p>' if report.summary else ""
    cards = "".join(_cards(report.steps))
    return (
        f"<header><h1>{escape(report.title)}</h1>{summary}"
        + (f'<dl class="cards">{cards}</dl>' if cards else "")
        + "</header>"
    )


def _cards(steps: Sequence[StepRow]) -> Iterator[str]:
    """First against last row, one card for each quantity that both have."""
    if len(steps) < 2:
        return
    first, *_, last = cells(steps)
    for quantity, before, after in zip(QUANTITIES, first, last, strict=True):
        if after.against_first:
            unit = " points" if quantity.compare is points else ""
            yield (
                f'<div class="card"><dt>{quantity.title}</dt>'
                f'<dd class="change">{after.against_first}<small>{unit}</small></dd>'
                f'<dd class="from">{before.text} → {after.text}</dd></div>'
            )


def _steps(steps: Sequence[StepRow]) -> str:
    if not steps:
        return ""
    shown = measured_quantities(steps)
    timed = any(step.seconds is not None for step in steps)
    runtimes = {step.runtime for step in steps if step.latency_ms is not None}
    head = ['<th class="text">Step</th>']
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
        '<section><h2>Steps</h2><div class="wide"><table class="steps">'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="quiet">Small figures compare with the first row: a ratio, or a difference in '
        "percentage points for AP. k, M and G are powers of 1000."
        f"{mixed if len(runtimes) > 1 else ''}</p>"
        '<details class="screen"><summary>Table to copy: Markdown, LaTeX</summary>'
        f"<pre>{escape(markdown(steps))}</pre><pre>{escape(latex(steps))}</pre></details></section>"
    )


def _plots(plots: dict[str, Figure]) -> str:
    """Training curves stand side by side, the other plots take the full width."""
    places = {
        heading: f'<section><h3>{escape(heading)}</h3><div class="plot" id="plot-{number}"></div>'
        "</section>"
        for number, heading in enumerate(plots)
    }
    if not places:
        return ""
    training = [place for heading, place in places.items() if heading.startswith("Training: ")]
    others = [place for place in places.values() if place not in training]
    pair = f'<div class="pair">{"".join(training)}</div>' if training else ""
    return (
        f"<h2>Plots</h2><noscript><p>Plots need JavaScript.</p></noscript>{''.join(others)}{pair}"
    )


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
    shown = "".join(
        f'<figure><img alt="{escape(caption)}" src="{_data_uri(image_bgr)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, image_bgr in pictures
    )
    return f'<section><h2>Detections</h2><div class="pair pictures">{shown}</div></section>'


def _data_uri(image_bgr: np.ndarray) -> str:
    """uint8 [H, W, 3] -> JPEG in base64, its longer side at most 1280 pixels."""
    height, width = image_bgr.shape[:2]
    scale = _LONGEST_PICTURE_SIDE_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image_bgr = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RunError(f"a picture of shape {image_bgr.shape} could not be written as JPEG.")
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode('ascii')}"


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>Notes</h2><ul>{items}</ul></section>" if notes else ""


def _circumstances(report: Report) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in report.circumstances.items()
    )
    parts = f'<section><h2>Circumstances</h2><dl class="facts">{facts}</dl></section>'
    recipe = f"<section><h2>Recipe</h2><pre>{escape(report.recipe)}</pre></section>"
    return (parts if facts else "") + (recipe if report.recipe else "")


def _scripts(plots: list[Figure]) -> list[str]:
    if not plots:
        return []
    # "<" only occurs inside JSON strings, where its escape means the same and ends no script.
    values = json.dumps(plots, allow_nan=False).replace("<", "\\u003c")
    return [
        f"<script>{_library()}</script>",
        f'<script type="application/json" id="figures">{values}</script>',
        f"<script>{SCRIPT}</script>",
    ]


@cache
def _library() -> str:
    library: str = get_plotlyjs()
    return library
