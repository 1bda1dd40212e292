"""The nodes of a model in one list, those of branches and loop bodies among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx
from onnx import AttributeProto

OWN_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, eq=False)
class Node:
    """One node. inputs, outputs: names of tensors, '' for one left out.

    bodies: the results of the graphs inside it (If, Loop, Scan).
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeProto] = field(repr=False)
    bodies: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """
        >>> Node("Conv", "", "", ("x", "w"), ("y",), {}).where
        'Conv -> y'
        """
        return self.name or f"{self.op} -> {', '.join(filter(None, self.outputs))}"

    @property
    def output(self) -> str:
        """The first output; '' of a broken node without any."""
        return self.outputs[0] if self.outputs else ""

    def input(self, number: int) -> str:
        """The name of an input; '' where it was left out."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        return self.attributes[name].i if name in self.attributes else default

    def integers(self, name: str) -> tuple[int, ...]:
        return tuple(self.attributes[name].ints) if name in self.attributes else ()


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for body in bodies_of(node):
            yield from graphs_of(body)


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def text(name: str | bytes) -> str:
    """A name as text: protobuf hands out the bytes of one that is no UTF-8."""
    return name if isinstance(name, str) else name.decode(errors="replace")


def flat_nodes(graph: onnx.GraphProto) -> Iterator[Node]:
    """Every node; those inside a node stand before it, for it gives their results on."""
    for proto in graph.node:
        results: list[str] = []
        for body in bodies_of(proto):
            yield from flat_nodes(body)
            results += [text(output.name) for output in body.output]
        yield Node(
            text(proto.op_type),
            "" if proto.domain in OWN_DOMAINS else text(proto.domain),
            text(proto.name),
            tuple(map(text, proto.input)),
            tuple(map(text, proto.output)),
            {text(attribute.name): attribute for attribute in proto.attribute},
            tuple(results),
        )
