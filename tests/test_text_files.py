"""Text is UTF-8 on every machine: what is written and read does not depend on its locale."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import yolo_slim

PACKAGE = Path(yolo_slim.__file__).parent


def _opens_text(call: ast.Call) -> bool:
    """Whether it is read_text, write_text, or the open of a path in a mode without b."""
    if not isinstance(call.func, ast.Attribute):
        return isinstance(call.func, ast.Name) and call.func.id == "open"
    words = [a.value for a in call.args if isinstance(a, ast.Constant)]
    opens = call.func.attr == "open" and (words or not call.args) and "b" not in "".join(words)
    return bool(opens) or call.func.attr in ("read_text", "write_text")


def _calls(path: Path) -> Iterator[ast.Call]:
    text = path.read_text(encoding="utf-8")
    if "open(" in text or "_text(" in text:  # most files open nothing, and need no parsing
        yield from (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def test_every_text_file_says_that_it_is_utf8():
    silent = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in _calls(path)
        if _opens_text(call) and not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]  # fmt: skip
    assert silent == []
