"""What a step has decided, as tables: convolutions, blocks, zeros, factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PlanTables:
    """Each table: its head, then its rows, as text; empty where there is nothing to tell.

    channels: (section label, channels before, after), for the plot. notes: a sentence each.
    """

    channels: tuple[tuple[str, int, int], ...] = ()
    convolutions: Rows = ()
    layers: Rows = ()
    entrances: Rows = ()
    zeros: Rows = ()
    factors: Rows = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> PlanTables:
        """From what `prune --json` writes."""
        convolutions = document["convolutions"]
        return cls(
            tuple((f"{c['section']} {c['kind']}", c["before"], c["after"]) for c in convolutions),
            _rows(
                ("section", "channels", "kept", "least score", "median", "most", "held"),
                [
                    (f"{c['section']} {c['kind']}", str(c["before"]), str(c["after"]),
                     *(_number(c[f"score_{name}"]) for name in ("min", "median", "max")),
                     "; ".join(c["held"]))
                    for c in convolutions
                ],
            ),
            _rows(
                ("block", "score", ""),
                [
                    (f"{b['first']} to {b['shortcut']}", _number(b["score"]),
                     "goes" if b["dropped"] else "stays")
                    for b in document["layers"]
                ],
            ),
            _rows(
                ("entrance", "channels", "read"),
                [(str(e["section"]), str(e["before"]), str(e["after"]))
                 for e in document["entrances"]],
            ),
            _rows(
                ("section", "weights", "zeros", "left alone"),
                [
                    (str(z["section"]), f"{z['weights']:,}",
                     f"{z['zeros'] / max(z['weights'], 1):.1%}", z["left_alone"] or "")
                    for z in document["zeros"]
                ],
            ),
            notes=(*_planned(document.get("planned_latency_ms")), *document["notes"]),
        )  # fmt: skip

    @classmethod
    def of_factors(cls, document: Mapping[str, Any]) -> PlanTables:
        """From what `factorize --json` writes."""
        rows = [
            (f"{s['section']} {s['kind']}", s["into"] or f"whole: {s['whole']}",
             "" if s["energy"] is None else f"{s['energy']:.1%}", f"{s['macs_before']:,}",
             f"{s['macs_after']:,}")
            for s in document["sections"]
        ]  # fmt: skip
        head = ("section", "becomes", "energy kept", "MACs", "after")
        return cls(factors=_rows(head, rows), notes=tuple(document["notes"]))


def _planned(latency_ms: float | None) -> tuple[str, ...]:
    return () if latency_ms is None else (f"{latency_ms:.3g} ms when it was chosen.",)


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Rows:
    return (head, *rows) if rows else ()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
