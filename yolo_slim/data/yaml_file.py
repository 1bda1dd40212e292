"""What the two kinds of YAML descriptions have alike: keys, paths and names, checked."""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from yolo_slim.data.named import tidy
from yolo_slim.errors import DataError

EXAMPLE = "`train: {images: FOLDER, annotations: FILE}`"


def read_yaml(path: Path) -> dict[Any, Any]:
    """The keys of a YAML file. Raises DataError, with the line, where it has none."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    # ValueError: a date like 2024-13-01, or text that is not UTF-8.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{line} is not YAML. Expected e.g. {EXAMPLE}.") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} has no keys. Expected e.g. {EXAMPLE}.")
    return document


def check_keys(found: Iterable[Any], expected: tuple[str, ...], where: str) -> None:
    """Raises DataError for a key that is not expected, with the one that may be meant."""
    for key in found:
        if key not in expected:
            close = near(key, expected)
            hint = f"Did you mean `{close}`?" if close else f"Expected {', '.join(expected)}."
            raise DataError(f"{where} has an unknown key `{key}`. {hint}")


def near(key: Any, expected: tuple[str, ...], cutoff: float = 0.5) -> str | None:
    """The expected key that a misspelt one may stand for."""
    close = difflib.get_close_matches(str(key), expected, n=1, cutoff=cutoff)
    return close[0] if close else None


def path_of(value: Any, base: Path, where: str) -> Path:
    """The path that a value means: below `base`; `~` and `$NAME` are expanded."""
    if not isinstance(value, str) or not value:
        raise DataError(f"{where} is {shown(value)}, expected a path.")
    expanded = os.path.expandvars(value)
    try:
        return base / Path(expanded).expanduser()
    except RuntimeError as error:
        raise DataError(f"{where} is {value}: there is no such home folder.") from error


def names_of(value: Any, data: Path) -> tuple[str, ...]:
    """Class names from a list, or from keys 0, 1, 2, ... as Ultralytics has them."""
    if isinstance(value, dict):
        numbers = [_number(key) for key in value]
        if sorted(numbers) != list(range(len(value))):
            raise DataError(
                f"{data}: `names` has the keys {', '.join(map(str, list(value)[:8]))}, expected 0 "
                f"to {len(value) - 1}, each once."
            )
        value = [name for _, name in sorted(zip(numbers, value.values(), strict=True))]
    if not isinstance(value, list):
        raise DataError(f"{data}: `names` is {shown(value)}, expected a list as in [cat, dog].")
    for name in value:
        if isinstance(name, bool):
            raise DataError(
                f"{data}: `names` holds a word that YAML reads as {str(name).lower()}, such as "
                "yes, no, on or off: put it in quotes."
            )
        is_name = isinstance(name, str | int | float) and str(name).strip().isprintable()
        if not is_name or not str(name).strip():
            raise DataError(f"{data}: `names` holds {shown(name)}, expected the name of a class.")
    return tuple(tidy(str(name)) for name in value)


def shown(value: Any) -> str:
    """A value in a message, cut short before it is put together: aliases of YAML can make a list
    of a few lines that would fill the memory as text."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 60, 60
    return short.repr(value)


def _number(key: Any) -> int:
    if isinstance(key, int) and not isinstance(key, bool):
        return key
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else -1
