"""What every page is made of: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

import cv2
import numpy as np
from plotly.offline import get_plotlyjs

from yolo_slim.errors import RunError
from yolo_slim.report.plots import Figure
from yolo_slim.report.style import SCRIPT, STYLE

# The browser itself is told to refuse every request that the page could make.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


_HEAD = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
)
"""How every page begins, and hardly another file does."""


def is_page(path: Path) -> bool:
    """Whether it is a file that `html_page` made, or an empty one."""
    with path.open("rb") as file:
        begin = file.read(len(_HEAD))
    return begin in (b"", _HEAD.encode())


def html_page(title: str, parts: Iterable[str], plots: Mapping[str, Figure]) -> str:
    """The page as HTML: about 5 MB with plots (the library is inlined), a few kB without.

    parts: HTML, in order; empty ones are left out. plots: those that `plot_places` has places for,
    in the same order.
    """
    return "\n".join(
        [
            _HEAD,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style></head><body>",
            *(part for part in parts if part),
            *_scripts(list(plots.values())),
            "</body></html>\n",
        ]
    )


def plot_places(plots: Mapping[str, Figure]) -> dict[str, str]:
    """Heading -> the HTML that the plot of that heading is drawn into."""
    return {
        heading: f'<section><h3>{escape(heading)}</h3><div class="plot" id="plot-{number}"></div>'
        "</section>"
        for number, heading in enumerate(plots)
    }


def facts(heading: str, named: Mapping[str, str]) -> str:
    """A list of names and values; empty where there are none."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in named.items()
    )
    return f'<section><h2>{escape(heading)}</h2><dl class="facts">{rows}</dl></section>' * bool(
        rows
    )


def headline(title: str, summary: str, cards: Mapping[str, str]) -> str:
    """The top of a page. cards: name -> number, large."""
    told = f'<p class="summary">{escape(summary)}</p>' if summary else ""
    shown = "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd class="change">{escape(number)}</dd></div>'
        for name, number in cards.items()
    )
    shown = f'<dl class="cards">{shown}</dl>' if shown else ""
    return f"<header><h1>{escape(title)}</h1>{told}{shown}</header>"


def table(rows: Sequence[Sequence[str]], words: bool = False) -> str:
    """A table: the first row is its head, the first cell of each other row names it. words: the
    others hold sentences rather than numbers."""
    head, *others = rows
    of_words = ' class="text"' if words else ""
    cells = "".join(
        f'<th class="{"text" if words or k == 0 else ""}">{escape(text)}</th>'
        for k, text in enumerate(head)
    )
    body = "".join(
        f'<tr><th class="text" scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{of_words}>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in others
    )
    return (
        f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def figure(caption: str, image_bgr: np.ndarray, longest_px: int = 1280, quality: int = 88) -> str:
    """A picture with its caption, within the page."""
    source = _data_uri(image_bgr, longest_px, quality)
    return (
        f'<figure><img alt="{escape(caption)}" src="{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data_uri(image_bgr: np.ndarray, longest_px: int, quality: int) -> str:
    """uint8 [H, W, 3] -> JPEG in base64, its longer side at most `longest_px` pixels."""
    height, width = image_bgr.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image_bgr = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RunError(f"a picture of shape {image_bgr.shape} could not be written as JPEG.")
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode('ascii')}"


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
