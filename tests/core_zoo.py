"""The networks that every law is tested on; other members of the zoo have tests of their own."""

from __future__ import annotations

import pytest

CORE = ("yolov3", "yolov3-spp", "yolov3-tiny", "yolov3-nano")

COMPUTED = (*CORE[1:], pytest.param("yolov3", marks=pytest.mark.slow))
"""The same where numbers run through them: yolov3 has nothing that yolov3-spp has not."""
