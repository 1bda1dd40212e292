"""Imports only point downstairs; siblings of a floor meet only through arguments."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import yolo_slim

PACKAGE = Path(yolo_slim.__file__).parent

FLOORS = {
    "errors": 0, "cfg": 0, "zoo": 0, "detections": 0, "files": 0, "precision": 0, "console": 0,
    "knee": 0, "energy": 0, "optional": 0, "class_names": 0, "findings": 0, "progress": 0,
    "commit": 0, "in_use": 0, "found_files": 0,
    "nn": 1, "weights": 1, "darknet_weights": 1, "bundle": 1, "pretrained": 1, "fold": 1,
    "geometry": 1, "metadata": 1, "processes": 1, "openvino_graph": 1, "trt": 1,
    "data": 2, "train": 2, "distill": 2, "prune": 2, "factorize": 2, "quantize": 2, "evaluate": 2,
    "export": 2, "runtime": 2, "video": 2, "report": 2,
    "pipeline": 3,
    "cli": 4,
}  # fmt: skip
HEAVY = {"torch", "torchvision", "cv2", "onnx", "onnxruntime", "pytorch_lightning", "safetensors"}


def _part(module: str) -> str:
    """'cfg' for 'yolo_slim.cfg.text', '' for the package itself."""
    return [*module.split("."), ""][1]


@cache
def _files() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        dotted = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[dotted.removesuffix(".__init__")] = path
    return found


@cache
def _imported(path: Path) -> frozenset[str]:
    """Every module that a file names in an import, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add(node.module or "")
            if node.module == "yolo_slim":  # `from yolo_slim import cfg` names a part, too
                modules |= {f"yolo_slim.{alias.name}" for alias in node.names}
    return frozenset(modules)


MODULES = [name for name in _files() if name != "yolo_slim"]


def test_every_part_of_the_package_has_a_floor():
    assert {_part(name) for name in MODULES} == set(FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downstairs(module):
    mine = _part(module)
    for other in _imported(_files()[module]):
        if not other.startswith("yolo_slim."):
            continue
        theirs = _part(other)
        if theirs == mine or theirs == "__version__":
            continue
        assert FLOORS[theirs] <= FLOORS[mine], f"{module} reaches up to {other}"
        if FLOORS[mine] == 2:
            assert FLOORS[theirs] < 2, f"{module} reaches its sibling {other}"


@pytest.mark.parametrize("module", [m for m in MODULES if FLOORS[_part(m)] == 0])
def test_the_ground_floor_is_light(module):
    roots = {name.split(".")[0] for name in _imported(_files()[module])}
    assert roots & HEAVY == set()


def test_only_the_zoo_stands_on_the_cfg_of_its_own_floor():
    allowed = {("zoo", "cfg"), ("zoo", "errors"), ("cfg", "errors"), ("precision", "errors"),
               ("optional", "errors"), ("in_use", "errors")}  # fmt: skip
    pairs = {
        (_part(module), _part(other))
        for module in MODULES
        for other in _imported(_files()[module])
        if FLOORS[_part(module)] == 0 and other.startswith("yolo_slim.")
    }
    assert {(a, b) for a, b in pairs if a != b} <= allowed


def test_no_two_parts_import_each_other():
    edges = {
        (_part(module), _part(other))
        for module in MODULES
        for other in _imported(_files()[module])
        if other.startswith("yolo_slim.") and _part(other) in FLOORS
    }
    assert {(a, b) for a, b in edges if a < b and (b, a) in edges} == set()
