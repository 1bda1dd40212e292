"""The commit of a checkout, and of nothing that only lies in one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from yolo_slim.commit import commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit.cache_clear()
    return tmp_path


def test_a_commit_has_one_name_whatever_its_tags(checkout):
    expected = git(checkout, "rev-parse", "HEAD")[:12]
    git(checkout, "tag", "-a", "v1", "-m", "v1")
    assert commit(checkout / "code.py") == expected


def test_changed_files_are_told(checkout):
    (checkout / "code.py").write_text("2\n")
    assert commit(checkout / "code.py") == git(checkout, "rev-parse", "HEAD")[:12] + "-dirty"


def test_what_only_lies_in_a_checkout_has_none(checkout, tmp_path_factory):
    installed = checkout / ".venv/code.py"
    installed.parent.mkdir()
    shutil.copy(checkout / "code.py", installed)
    assert commit(installed) is None
    assert commit(tmp_path_factory.mktemp("elsewhere") / "code.py") is None
