"""What the CPU can do."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def has_vnni() -> bool:
    """Whether products of 8-bit numbers are summed in 32 bits, and not, two by two, in 16.

    Of an x86 CPU under Linux; where that cannot be known, it is taken for granted.
    """
    text = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.is_file() else ""
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), None)
    return flags is None or any(flag.endswith("_vnni") for flag in flags)
