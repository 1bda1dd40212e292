"""Rules on scales that meet in a Concat, MaxPool or Resize."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import moved
from yolo_slim.export.tensorrt_rules.node import Node
from yolo_slim.export.tensorrt_rules.quantizer import Quantizer
from yolo_slim.export.tensorrt_rules.view import GraphView

_SHOWN = 4
_NAMED = ("Concat", "MaxPool", "Resize", "Upsample")
"""The moving layers that a finding is told of, the first before the last."""


def unequal_scales(view: GraphView) -> Iterator[Finding]:
    """Maps that a Concat, MaxPool or Resize joins, rounded in steps of different size.

    TensorRT takes Q and DQ through these layers, so all their maps are rounded on one grid where
    the scales are equal, and once more each where they are not.
    """
    touching: dict[str, list[Quantizer]] = defaultdict(list)
    for quantizer in view.quantizers.values():
        touching[quantizer.data if quantizer.is_q else quantizer.output].append(quantizer)
    for group in _moved_together(view):
        named = [node for node in group.movers if node.op in _NAMED]
        scales: dict[float, str] = {}
        for quantizer in (q for tensor in group.tensors for q in touching.get(tensor, ())):
            if quantizer.step is not None:
                scales.setdefault(quantizer.step, quantizer.node.where)
        if named and len(scales) > 1:
            node = min(named, key=lambda node: _NAMED.index(node.op))
            told = ", ".join(f"{s:.6g} ({scales[s]})" for s in sorted(scales)[:_SHOWN])
            more = f" and {len(scales) - _SHOWN} more" if len(scales) > _SHOWN else ""
            yield found("unequal-scales", node.where, f"scales {told}{more}; expected one")


@dataclass
class _Group:
    """Maps that hold the same values, or parts of them, and the nodes that move these."""

    movers: list[Node] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)


def _moved_together(view: GraphView) -> Iterable[_Group]:
    """All such groups."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    movers = [node for node in view.nodes if moved(node) and node.output]
    for node in movers:
        for name in (*moved(node), *node.outputs):
            if name and name not in view.constants:
                parents[root(name)] = root(node.output)
    groups: dict[str, _Group] = defaultdict(_Group)
    for name in list(parents):
        groups[root(name)].tensors.append(name)
    for node in movers:
        groups[root(node.output)].movers.append(node)
    return groups.values()
