"""Our calls fit the API of each generation; nothing of it is imported before it is asked for."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from trt.api_uses import OBJECTS, PACKAGE, Use, accepts, members, uses

from yolo_slim.errors import InputError
from yolo_slim.trt.api import FLAVORS, Api, load_api

TABLE = json.loads((Path(__file__).parent / "api.json").read_text())
"""Read by read_api.py from the bindings that NVIDIA publishes; 10.3 is JetPack 6.2's."""

USES = uses()
RTX_ALONE = {"ComputeCapability", "ComputeCapability.__members__",
             "IBuilderConfig.num_compute_capabilities",
             "IBuilderConfig.set_compute_capability"}  # fmt: skip


def wrong_calls(found: dict[str, list[str] | None]) -> list[Use]:
    return [
        use
        for use in USES
        if use.call and (signatures := found[use.member])
        and not any(accepts(signature, use.call) for signature in signatures)
    ]  # fmt: skip


def test_the_table_is_of_both_generations_and_of_all_that_we_use():
    assert {version.split(".")[0] for version in TABLE} == {"10", "11"}
    for version, found in TABLE.items():
        assert found.keys() == {use.member for use in USES}, f"read {version} again: read_api.py"
    assert len(USES) > 60


@pytest.mark.parametrize("version", TABLE)
def test_what_we_use_is_in_tensorrt(version):
    found = TABLE[version]
    assert {member for member, signatures in found.items() if signatures is None} == RTX_ALONE
    assert wrong_calls(found) == []


def test_what_we_use_is_in_tensorrt_for_rtx():
    trt = pytest.importorskip("tensorrt_rtx")
    found = members(trt, sorted({use.member for use in USES}))
    assert [member for member, signatures in found.items() if signatures is None] == []
    assert wrong_calls(found) == []


@pytest.mark.parametrize(
    ("signature", "call", "fits"),
    [
        ("self: T", (0, ()), True),
        ("self: T", (1, ()), False),
        ("self: T, n: List[int, str], flags: int = 0", (1, ()), True),
        ("self: T, n: List[int, str], flags: int = 0", (1, ("flags",)), True),
        ("self: T, n: List[int, str], flags: int = 0", (0, ("flags",)), False),
        ("self: T, n: int", (0, ("m",)), False),
    ],
)
def test_a_call_fits_a_signature(signature, call, fits):
    assert accepts(signature, call) == fits


SOURCES = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_files_that_use_tensorrt_are_all_looked_through():
    using = {
        path.relative_to(PACKAGE).as_posix()
        for path, text in SOURCES.items()
        if re.search(r"\btrt\.[A-Z]|\.trt\b(?!\.)", re.sub(r"(import|from) .*", "", text))
    }
    assert using <= OBJECTS.keys()
    assert len(using) >= 4


def test_no_module_imports_tensorrt_when_it_is_imported():
    optional = {"tensorrt", "tensorrt_rtx", "torch_tensorrt", "modelopt"}
    looked_at = 0
    for text in SOURCES.values():
        if not any(name in text for name in (*optional, "import_module")):
            continue
        looked_at += 1
        for node in at_import(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert not optional & {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in optional
            elif isinstance(node, ast.Call):
                assert getattr(node.func, "attr", getattr(node.func, "id", "")) != "import_module"
    assert looked_at >= 4


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed when a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_package_that_is_missing_is_named_with_its_extra(flavor, monkeypatch):
    for module in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, module, None)  # what import answers with an ImportError
    with pytest.raises(InputError) as refused:
        load_api(flavor)
    assert f'pip install "yolo-slim[{flavor}]"' in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("version", "told"), [("8.6.1", "too old"), (None, "no attribute")])
def test_what_cannot_be_used_is_refused(version, told, monkeypatch):
    module = ModuleType("tensorrt")
    if version is not None:
        module.__version__ = version
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    with pytest.raises(InputError, match=told):
        load_api("tensorrt")


@pytest.mark.parametrize(
    ("flavor", "version", "flags"),
    [("tensorrt", "10.3.0", 2), ("tensorrt", "10.16.1.11", 2), ("tensorrt", "11.4.0.106", 0),
     ("rtx", "1.7.1.116", 0)],
)  # fmt: skip
def test_strong_typing_is_asked_for_where_it_is_a_choice(flavor, version, flags):
    flag = SimpleNamespace(STRONGLY_TYPED=1)
    trt = SimpleNamespace(__version__=version, NetworkDefinitionCreationFlag=flag)
    assert Api(trt, flavor).network_flags == flags
