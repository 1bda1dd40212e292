"""The page of a pruning sweep: the curve and its knee, and which layers hurt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolo_slim.files import whole_file
from yolo_slim.report.plots import Figure, figure_layout
from yolo_slim.report.shell import facts, headline, html_page, plot_places, table


@dataclass(frozen=True)
class SweepPage:
    """Everything the page shows.

    rows: the head of the table of points, then a row a point, as text. curve: name -> (ratios,
    values) of what is drawn over the ratio, 0 to 1. knee: the ratio to mark, None without one.
    layers: name of a group of layers -> AP for each of `shares`. cards: name -> number, at the top.
    """

    title: str
    summary: str
    rows: Sequence[Sequence[str]]
    curve: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    knee: float | None = None
    shares: Sequence[float] = ()
    layers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    circumstances: Mapping[str, str] = field(default_factory=dict)


def write_sweep_page(path: Path, page: SweepPage) -> None:
    """Writes the page, whole or not at all; its folder is made if need be."""
    plots = {"Quality against ratio": ratio_curve(page.curve, page.knee)}
    if page.layers:
        plots["AP when one group of layers is cut alone"] = layer_map(page.layers, page.shares)
    places = "".join(plot_places(plots).values())
    parts = [
        headline(page.title, page.summary, page.cards),
        f"<noscript><p>Plots need JavaScript.</p></noscript>{places}",
        f"<section><h2>Points</h2>{table(page.rows)}</section>",
        facts("Circumstances", page.circumstances),
    ]
    with whole_file(path) as temporary:
        temporary.write_text(html_page(page.title, parts, plots), encoding="utf-8")


def ratio_curve(
    curve: Mapping[str, tuple[Sequence[float], Sequence[float]]], knee: float | None
) -> Figure:
    """Lines over the ratio, 0 to 1, with the knee as a dotted upright line."""
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(ratios),
            "y": list(values),
            "hovertemplate": "ratio %{x:.3f}: %{y:.4f}<extra>%{fullData.name}</extra>",
        }
        for name, (ratios, values) in curve.items()
    ]
    layout = figure_layout("share of the channels that goes", "AP, and share that is left")
    layout["xaxis"] |= {"range": [-0.02, 1.02], "tickformat": ".0%"}
    if knee is not None:
        layout["shapes"] = [
            {"type": "line", "x0": knee, "x1": knee, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"dash": "dot", "width": 2}}
        ]  # fmt: skip
        layout["annotations"] = [
            {"x": knee, "y": 1, "yref": "paper", "text": f"knee {knee:.2f}", "showarrow": False,
             "xanchor": "right", "yanchor": "top"}
        ]  # fmt: skip
    return {"data": data, "layout": layout}


def layer_map(layers: Mapping[str, Sequence[float]], shares: Sequence[float]) -> Figure:
    """AP of each group of layers (along x) and share that goes (along y), as a heat map."""
    columns = list(layers.values())
    data = [
        {
            "type": "heatmap",
            "x": [f"section {name}" for name in layers],
            "y": [f"{share:.0%} gone" for share in shares],
            "z": [[column[k] for column in columns] for k in range(len(shares))],
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": "AP"}},
            "hovertemplate": "%{x}, %{y}: AP %{z:.4f}<extra></extra>",
        }
    ]
    return {"data": data, "layout": figure_layout("", "", showlegend=False)}
