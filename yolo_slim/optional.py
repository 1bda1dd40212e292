"""Packages that few commands need: imported when they do, and named where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from yolo_slim.errors import InputError


def require(module: str, extra: str) -> ModuleType:
    """The module. Raises InputError, with the extra to install, where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.split('.')[0]} is needed and cannot be imported ({error}); "
            f'pip install "yolo-slim[{extra}]"'
        ) from None
