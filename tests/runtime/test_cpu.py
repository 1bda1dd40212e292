"""What a CPU can do, as /proc/cpuinfo tells."""

from __future__ import annotations

import pytest

from yolo_slim.runtime import cpu


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("model name: x\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("flags: fpu avx2 avx_vnni\n", True),
        ("flags: fpu avx2 avx512f\nbugs: avx_vnni\n", False),
        ("Features\t: fp asimd asimddp\n", True),  # ARM
        ("", True),
    ],
)
def test_vnni(text, has, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", path)
    assert cpu.has_vnni() is has


def test_it_is_granted_where_nothing_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "none")
    assert cpu.has_vnni()
