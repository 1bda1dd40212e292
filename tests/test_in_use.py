"""One command at a time works in a folder."""

from __future__ import annotations

import subprocess
import sys

import pytest

from yolo_slim.errors import InputError
from yolo_slim.in_use import LOCK, in_use

HOLDS = """
import sys
from pathlib import Path
from yolo_slim.in_use import in_use
with in_use(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nobody_else_comes_in_meanwhile(tmp_path):
    with in_use(tmp_path / "run"):
        with (
            pytest.raises(InputError, match=r"run is in use by another command \(process \d+\)"),
            in_use(tmp_path / "run"),
        ):
            pass
    assert not list(tmp_path.iterdir())  # what was left empty is gone
    with in_use(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kept"]


def test_a_killed_command_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"), in_use(tmp_path):
            pass
        other.kill()
    assert (tmp_path / LOCK).exists()
    with in_use(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()
