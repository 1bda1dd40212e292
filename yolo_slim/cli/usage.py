"""Arguments that are none, told as every other error is; and Ctrl-C, on which typer is silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from pydantic import ValidationError

from yolo_slim.errors import InputError, Interrupted

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer names only its child

CTRL_C = 130


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Runs a verb; gives its exit status.

    Raises InputError for an option that there is not, a value that is none, or one that is missing,
    Interrupted after Ctrl-C.
    """
    try:
        status = app(args=argv, prog_name="yolo-slim", standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return 2  # the help has been printed
        raise InputError(f"{_fault(error)}\ntry: {_verb(error, argv)} --help") from None
    except typer.Abort:
        raise Interrupted("stopped") from None
    if status == CTRL_C:
        raise Interrupted("stopped")
    return int(status or 0)


def _verb(error: Any, argv: Sequence[str]) -> str:
    """What has help on it; a parser that misses a value knows no context."""
    context = getattr(error, "ctx", None)
    return f"yolo-slim {argv[0]}" if context is None else str(context.command_path)


def _fault(error: Any) -> str:
    match type(error).__name__:
        case "NoSuchOption":
            near = ", ".join(error.possibilities or ())
            return f"{error.option_name}: no such option" + (f"; did you mean {near}?" * bool(near))
        case "MissingParameter":
            return f"{_name(error.param)} is missing"
        case "BadParameter" if error.param is not None:
            return f"{_name(error.param)}{_bad_value(error)}"
        case _:
            text = _line(error.message)
            return text[:1].lower() + text[1:]


def _bad_value(error: Any) -> str:
    # Newer typers ask pydantic, which keeps the value to itself.
    if not isinstance(error.__cause__, ValidationError):
        return f": {_line(error.message)}"
    fault = error.__cause__.errors()[0]
    expected = _line(fault["msg"]).replace("Input should be", "expected", 1)
    if fault["type"] == "value_error":  # one of our own words, or of a choice, with the value in it
        return f": {expected.removeprefix('Value error, ')}"
    return f" {fault['input']}: {expected}"


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _name(parameter: Any) -> str:
    """--importance, or MODEL."""
    name = str(parameter.opts[0])
    return name if name.startswith("-") else name.upper()
