"""The networks that every law is tested on; other members of the zoo have tests of their own."""

from __future__ import annotations

import pytest

CORE = ("yolov3", "yolov3-spp", "yolov3-tiny", "yolov3-nano")

COMPUTED = (
    "yolov3-tiny",
    "yolov3-nano",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("yolov3", "yolov3-spp")),
)
"""The same where numbers run through them: by day the two light ones."""


def by_night(*values: object) -> list[object]:
    """Cases of a test that take long, and show what shorter ones by day show nearly as well."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
