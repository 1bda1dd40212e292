"""Every command that the documents show is one that the command line takes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import typer
from documented import commands
from typer.core import TyperGroup

from yolo_slim.cli.app import app_of
from yolo_slim.cli.usage import UsageError

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = re.compile(r"\]\((?!https?:)(?P<path>[^)#]+)")


whole = cache(lambda: typer.main.get_command(app_of()))


def parse(words: list[str]) -> None:
    """As the command line would, without doing it. Raises UsageError."""
    command = whole()
    verb, rest = "yolo-slim", words
    while isinstance(command, TyperGroup):
        verb, *rest = rest
        if verb not in command.commands:
            raise UsageError(f"no verb {verb!r}")
        command = command.commands[verb]
    command.make_context(verb, rest)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_are_taken(document):
    for words in commands(document.read_text()):
        try:
            parse(words)
        except UsageError as error:
            pytest.fail(f"{' '.join(words)}: {error}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(document):
    for found in LINKED.finditer(document.read_text()):
        assert (document.parent / found["path"]).exists(), found["path"]


@pytest.mark.parametrize(
    "line",
    ["yolo-slim trian x", "yolo-slim train x --epoch 3", "yolo-slim data check --daat x",
     "python tools/train.py x --epochs many --out y"],
)  # fmt: skip
def test_what_is_no_command_is_found(line):
    (words,) = commands(f"    {line}   # as it is shown\n")
    with pytest.raises(UsageError):
        parse(words)
