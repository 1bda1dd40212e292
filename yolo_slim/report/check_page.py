"""The page of a data check: findings by kind, the numbers of each split, the worst pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from yolo_slim.files import whole_file
from yolo_slim.report.plots import Figure
from yolo_slim.report.shell import facts, figure, headline, html_page, plot_places, table

_THUMBNAIL_PX = 480
_QUALITY = 80


@dataclass(frozen=True)
class KindRow:
    """All findings of one kind; found: a place and what was found there, the first ones."""

    severity: str
    kind: str
    count: int
    advice: str
    found: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class CheckPage:
    """Everything the page shows; only the title is needed, and parts left empty are left out.

    cards: name -> number, large at the top. splits: the head of a table, then its rows.
    plots: heading -> plot. pictures: (caption, uint8 [H, W, 3] BGR).
    """

    title: str
    summary: str = ""
    cards: Mapping[str, str] = field(default_factory=dict)
    kinds: Sequence[KindRow] = ()
    splits: Sequence[Sequence[str]] = ()
    plots: Mapping[str, Figure] = field(default_factory=dict)
    pictures: Sequence[tuple[str, np.ndarray]] = ()
    circumstances: Mapping[str, str] = field(default_factory=dict)


def write_check_page(path: Path, page: CheckPage) -> None:
    """Writes the page, whole or not at all; its folder is made if need be."""
    with whole_file(path) as temporary:
        temporary.write_text(render_check_page(page), encoding="utf-8")


def render_check_page(page: CheckPage) -> str:
    """The page as HTML; it asks nothing of any network."""
    parts = [
        headline(page.title, page.summary, page.cards),
        _kinds(page.kinds),
        _splits(page.splits),
        _plots(page.plots),
        _pictures(page.pictures),
        facts("Circumstances", page.circumstances),
    ]
    return html_page(page.title, parts, page.plots)


def _kinds(kinds: Sequence[KindRow]) -> str:
    if not kinds:
        return ""
    rows = "".join(
        f'<tr><td class="text">{escape(row.severity)}</td>'
        f'<th class="text" scope="row">{escape(row.kind)}</th><td>{row.count}</td>'
        f'<td class="text">{escape(row.advice)}</td></tr>'
        for row in kinds
    )
    lists = "".join(_list(row) for row in kinds)
    return (
        '<section><h2>Findings</h2><div class="wide"><table class="steps"><thead><tr>'
        '<th class="text">Severity</th><th class="text">Kind</th><th>Count</th>'
        f'<th class="text">What to do</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f"{lists}</section>"
    )


def _list(row: KindRow) -> str:
    items = "".join(
        f'<tr><th class="text" scope="row">{escape(where)}</th>'
        f'<td class="text">{escape(found)}</td></tr>'
        for where, found in row.found
    )
    left = row.count - len(row.found)
    more = f'<p class="quiet">and {left} more: --json has all of them</p>' if left > 0 else ""
    return (
        f"<details><summary>{escape(row.kind)} ({row.count})</summary>"
        f'<div class="wide"><table><tbody>{items}</tbody></table></div>{more}</details>'
    )


def _splits(splits: Sequence[Sequence[str]]) -> str:
    if not splits:
        return ""
    return (
        f"<section><h2>Splits</h2>{table(splits)}"
        '<p class="quiet">Small, medium and large are COCO\'s: areas up to 32², up to 96² and '
        "above, in pixels of the picture. Size is the square root of the share of the picture that "
        "a box covers; aspect is width over height; 5 %, 50 % and 95 % quantiles.</p></section>"
    )


def _plots(plots: Mapping[str, Figure]) -> str:
    if not plots:
        return ""
    first, *others = plot_places(plots).values()
    return (
        "<h2>Plots</h2><noscript><p>Plots need JavaScript.</p></noscript>"
        f'{first}<div class="pair">{"".join(others)}</div>'
    )


def _pictures(pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    if not pictures:
        return ""
    shown = "".join(
        figure(caption, image_bgr, _THUMBNAIL_PX, _QUALITY) for caption, image_bgr in pictures
    )
    return (
        '<section><h2>Pictures to look at</h2><p class="quiet">Boxes as they are annotated; '
        "those with a finding are drawn in red on white, with a margin where they reach over the "
        "border.</p>"
        f'<div class="pair pictures">{shown}</div></section>'
    )
