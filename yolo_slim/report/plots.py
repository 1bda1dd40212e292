"""Plots as plain values: each is the `data` and `layout` that plotly.js draws.

Text in them is HTML-escaped, because plotly.js reads a subset of HTML. Colours of text and grid are
left to the page, which knows whether it is light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolo_slim.report.model import Report, StepRow

Figure = dict[str, Any]

_BINS = 80
# Told apart by readers with colour blindness, on white and on near-black.
_COLOURS = ("#8a94a6", "#e0742f", "#2f86d6", "#2fa36b", "#b45fc4", "#c79a1d", "#d4496a")


def gamma_histogram(gammas: Mapping[str, np.ndarray]) -> Figure:
    """|gamma| of each label over common bins, overlaid, counts on a logarithmic axis.

    Values that are not finite are left out. The axis ends at the 99.9th percentile of the widest;
    the last bin holds what lies beyond.
    """
    sizes = {label: _finite(np.abs(values)) for label, values in gammas.items()}
    ends = [float(np.quantile(values, 0.999)) for values in sizes.values() if values.size]
    end = max(ends, default=1.0) or 1.0
    edges = np.linspace(0, end, _BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    data = [
        {
            "type": "bar",
            "name": html.escape(label, quote=False),
            "x": _numbers(middles),
            "y": np.histogram(np.minimum(values, end), edges)[0].tolist(),
            "width": end / _BINS,
            "marker": {"color": _colour(k), "opacity": 0.65},
            "hovertemplate": "|γ| %{x:.4f}: %{y} channels<extra>%{fullData.name}</extra>",
        }
        for k, (label, values) in enumerate(sizes.items())
    ]
    layout = figure_layout(
        "|γ| of the batch normalizations", "channels (log scale)", barmode="overlay"
    )
    # With dtick 1 a tick stands at each power of ten, and at nothing between.
    layout["yaxis"] |= {"type": "log", "dtick": 1}
    return {"data": data, "layout": layout}


def channel_bars(channels: Sequence[tuple[str, int, int]]) -> Figure:
    """Channels of each section before (pale, wide) and after pruning (solid, narrow, in front)."""
    labels, before, after = zip(*channels, strict=True)
    names = [html.escape(label, quote=False) for label in labels]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": list(range(len(names))),
            "y": list(counts),
            "width": width,
            "marker": {"color": colour, "opacity": opacity},
            "text": names,
            "textposition": "none",
            "hovertemplate": "%{text}: %{y} channels<extra>%{fullData.name}</extra>",
        }
        for name, counts, width, colour, opacity in (
            ("before", before, 0.9, _COLOURS[0], 0.55),
            ("after", after, 0.55, _COLOURS[1], 1),
        )
    ]
    layout = figure_layout("section", "channels", barmode="overlay")
    step = -(-len(names) // 24)  # more names cannot be read side by side
    layout["xaxis"] |= {
        "tickvals": list(range(0, len(names), step)),
        "ticktext": names[::step],
        "tickangle": -60 if len(names) > 8 else 0,
    }
    return {"data": data, "layout": layout}


def curve_plots(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
) -> dict[str, Figure]:
    """Curve name -> plot with a line for each run that has it; a run has one colour throughout."""
    names = dict.fromkeys(name for run in curves.values() for name in run)
    return {
        name: {
            "data": [
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(run[name][0]) < 30 else "lines",
                    "name": html.escape(label, quote=False),
                    "x": _numbers(run[name][0]),
                    "y": _numbers(run[name][1]),
                    "line": {"color": _colour(k + 1), "width": 2},
                }
                for k, (label, run) in enumerate(curves.items())
                if name in run
            ],
            "layout": figure_layout("epoch", html.escape(name, quote=False)),
        }
        for name in names
    }


def tradeoff(steps: Sequence[StepRow], joined: bool = True) -> Figure | None:
    """AP against file size on a logarithmic size axis, `joined` step by step; None for fewer than
    two. What was not kept is left out."""
    measured = (s for s in steps if s.kept and s.file_bytes and s.AP is not None)
    both = [step for step in measured if (step.AP or 0) >= 0]
    if len(both) < 2:
        return None
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers+text" if joined else "markers+text",
            "x": [(step.file_bytes or 0) / 1e6 for step in both],
            "y": [100 * (step.AP or 0) for step in both],
            "text": [html.escape(step.name, quote=False) for step in both],
            # Neighbours in order are often near each other: their names go to different sides.
            "textposition": [f"{('top', 'bottom')[k % 2]} center" for k in range(len(both))],
            "line": {"color": _COLOURS[0], "width": 1, "dash": "dot"},
            "marker": {"color": _COLOURS[1], "size": 10},
            "hovertemplate": "%{text}: %{x:.3g} MB, AP %{y:.2f} %<extra></extra>",
        }
    ]
    layout = figure_layout("file size, MB (log scale)", "AP, %", showlegend=False)
    ticks = [digit * 10.0**power for power in range(-3, 6) for digit in (1, 2, 5)]
    layout["xaxis"] |= {
        "type": "log",
        "range": _padded(np.log10(data[0]["x"])),
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
    layout["yaxis"] |= {"range": _padded(np.array(data[0]["y"]))}
    return {"data": data, "layout": layout}


def count_bars(counts: Mapping[str, Mapping[str, int]], unit: str) -> Figure:
    """label -> name -> count, as bars side by side; the first label's largest count first.

    Counts lie on a logarithmic axis where the largest is over 50 times the smallest above zero.
    """
    first = next(iter(counts.values()), {})
    rest = dict.fromkeys(name for named in counts.values() for name in named)
    names = sorted(rest, key=lambda name: -first.get(name, 0))
    above_zero = [count for named in counts.values() for count in named.values() if count]
    data = [
        {
            "type": "bar",
            "name": html.escape(label, quote=False),
            "x": list(range(len(names))),
            "y": [named.get(name, 0) for name in names],
            "marker": {"color": _colour(k + 1)},
            "text": [html.escape(name, quote=False) for name in names],
            "textposition": "none",
            "hovertemplate": f"%{{text}}: %{{y}} {unit}<extra>%{{fullData.name}}</extra>",
        }
        for k, (label, named) in enumerate(counts.items())
    ]
    layout = figure_layout("", unit, barmode="group")
    step = -(-len(names) // 40)  # more names cannot be read side by side
    layout["xaxis"] |= {
        "tickvals": list(range(0, len(names), step or 1)),
        "ticktext": [html.escape(name, quote=False) for name in names[:: step or 1]],
        "tickangle": -60 if len(names) > 8 else 0,
    }
    if above_zero and max(above_zero) > 50 * min(above_zero):
        layout["yaxis"] |= {"type": "log", "dtick": 1, "title": {"text": f"{unit} (log scale)"}}
    return {"data": data, "layout": layout}


def share_histogram(values: Mapping[str, np.ndarray], x_title: str, *, log: bool = False) -> Figure:
    """The values of each label over common bins, as lines: per cent of that label's values.

    log: bins of equal ratio, for positive values on a logarithmic axis.
    """
    sizes = {label: _finite(found) for label, found in values.items()}
    sizes = {label: found[found > 0] if log else found for label, found in sizes.items()}
    everything = np.concatenate([*sizes.values(), np.zeros(0)])
    low, high = (everything.min(), everything.max()) if everything.size else (0.1, 1.0)
    if low == high:
        low, high = low * 0.9 - 0.1 * (low == 0), high * 1.1 + 0.1 * (high == 0)
    edges = np.geomspace(low, high, 41) if log else np.linspace(low, high, 41)
    middles = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hvh", "color": _colour(k + 1), "width": 2},
            "name": html.escape(label, quote=False),
            "x": _numbers(middles),
            # Rounding may leave the outermost value a hair outside of its own bins.
            "y": _numbers(100 * np.histogram(np.clip(found, low, high), edges)[0] / found.size),
            "hovertemplate": "%{x:.3g}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        }
        for k, (label, found) in enumerate(sizes.items())
        if found.size
    ]
    layout = figure_layout(x_title, "boxes, %")
    if log:
        ticks = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]
        layout["xaxis"] |= {
            "type": "log",
            "tickvals": ticks,
            "ticktext": [f"{tick:g}" for tick in ticks],
        }
    return {"data": data, "layout": layout}


def figures(report: Report) -> dict[str, Figure]:
    """Heading -> plot, for all plots that the report has data for, in the order of the page."""
    found: dict[str, Figure] = {}
    path = tradeoff(report.steps, joined=not report.side_by_side)
    if path:
        found["Accuracy against size"] = path
    if report.gammas:
        found["Channel scales"] = gamma_histogram(report.gammas)
    for name, plan in report.plans.items():
        if plan.channels:
            found[f"Channels before and after {name}"] = channel_bars(plan.channels)
    for name, figure in curve_plots(report.curves).items():
        found[f"Training: {name}"] = figure
    return found


def figure_layout(x_title: str, y_title: str, **more: Any) -> Figure:
    """Axes, legend and margins that every plot shares, and `more`."""
    return {
        "xaxis": {"title": {"text": x_title}, "automargin": True},
        "yaxis": {"title": {"text": y_title}, "automargin": True},
        "showlegend": True,  # also for a single line: its name is the run's
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        **more,
    }


def _padded(values: np.ndarray) -> list[float]:
    """A range in which no label at the outermost points is cut off."""
    low, high = float(values.min()), float(values.max())
    margin = 0.15 * (high - low) or 0.5
    return [low - margin, high + margin]


def _colour(k: int) -> str:
    return _COLOURS[k % len(_COLOURS)]


def _finite(values: np.ndarray) -> np.ndarray:
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _numbers(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """JSON has no NaN: a gap in the line stands for it."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
