"""What our code asks of TensorRT's API, read off its source; and what a module has of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "yolo_slim"

# Variables that hold objects of TensorRT, in the files that use it; `trt` is the module everywhere.
OBJECTS = {
    "trt/api.py": {},
    "trt/build.py": {
        "builder": "Builder", "network": "INetworkDefinition", "parser": "OnnxParser",
        "config": "IBuilderConfig", "profile": "IOptimizationProfile", "cache": "ITimingCache",
        "tensor": "ITensor",
    },
    "trt/faults.py": {"parser": "OnnxParser", "error": "ParserError"},
    "trt/monitor.py": {},
    "runtime/output_room.py": {},
    "runtime/tensorrt.py": {
        "runtime": "Runtime", "engine": "ICudaEngine", "context": "IExecutionContext",
        "inspector": "EngineInspector",
    },
}  # fmt: skip

OUR_OWN = {"__init__", "clear", "values"}
"""Methods of our subclasses that override nothing."""


@dataclass(frozen=True)
class Use:
    """member: 'Builder.create_network', or 'Builder' itself. call: number of positional arguments
    and names of the others; None where it is read, set, or overridden."""

    member: str
    call: tuple[int, tuple[str, ...]] | None
    place: str


def uses() -> list[Use]:
    found = []
    for name, objects in OBJECTS.items():
        tree = ast.parse((PACKAGE / name).read_text())
        calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            for member, spot in _members(node, objects):
                call = calls.get(id(spot))
                if call is not None and "." not in member:
                    found.append(Use(member, None, f"{name}:{spot.lineno}"))
                    member += ".__init__"
                n_self = 1 if member.endswith(".__init__") and "." in _of_module(spot) else 0
                shape = call and (
                    len(call.args) - n_self, tuple(k.arg or "**" for k in call.keywords)
                )  # fmt: skip
                found.append(Use(member, shape, f"{name}:{spot.lineno}"))
    return found


def _members(node: ast.AST, objects: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.ClassDef):  # what a class of ours overrides
        for base in node.bases:
            if (member := _of_module(base)) is not None:
                for item in node.body:
                    if isinstance(item, ast.FunctionDef) and item.name not in OUR_OWN:
                        yield f"{member}.{item.name}", item
    if isinstance(node, ast.Attribute):
        if (member := _of_module(node)) is not None:
            yield member, node
        elif isinstance(node.value, ast.Name) and node.value.id in objects:
            yield f"{objects[node.value.id]}.{node.attr}", node


def _of_module(node: ast.AST) -> str | None:
    """'A.b' of trt.A.b, self.trt.A.b, api.trt.A.b."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        if node.attr == "trt":
            break
        names.insert(0, node.attr)
        node = node.value
    is_module = isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id == "trt")
    return ".".join(names) if is_module and names else None


def members(module: Any, names: list[str]) -> dict[str, list[str] | None]:
    """Of each member its signatures; [] for what is no function, None for what is not there."""
    return {name: _signatures(module, name) for name in names}


def _signatures(module: Any, name: str) -> list[str] | None:
    value = module
    for part in name.split("."):
        if not hasattr(value, part):
            # Some methods that are there to be overridden stand in the class's docstring alone.
            stated = re.findall(rf"def {part}\((self.*)\):", getattr(value, "__doc__", None) or "")
            return stated or None
        value = getattr(value, part)
    if not callable(value) or isinstance(value, type):
        return []
    last = re.escape(name.split(".")[-1])
    lines = re.findall(rf"^(?:\d+\. )?{last}\((.*)\) -> ", value.__doc__ or "", re.MULTILINE)
    return [re.sub(r"\w+\.\w+\.(?=\w)", "", line) for line in lines if line != "*args, **kwargs"]


def accepts(signature: str, call: tuple[int, tuple[str, ...]]) -> bool:
    """Whether a call of a method fits 'self: T, network: N, flags: int = 0'."""
    parameters = [p.strip() for p in re.split(r",(?![^\[(]*[\])])", signature)][1:]
    names = [p.split(":")[0].split("=")[0].strip() for p in parameters]
    n_positional, keywords = call
    if n_positional > len(names) or not set(keywords) <= set(names[n_positional:]):
        return False
    left = [p for p, name in zip(parameters, names, strict=True)][n_positional:]
    return all("=" in p or p.split(":")[0].strip() in keywords for p in left)
