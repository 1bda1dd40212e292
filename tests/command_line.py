"""The command line as it is typed, and what came of it."""

from __future__ import annotations

import pytest

from yolo_slim.cli import main


def status(command: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    return int(ended.value.code or 0)


def told(command: str, capsys) -> tuple[int, str]:
    """Exit status, standard error."""
    return status(command), capsys.readouterr().err
