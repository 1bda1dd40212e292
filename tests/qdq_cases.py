"""All Q/DQ graphs: those of the parts, which enter themselves as they are imported."""

from __future__ import annotations

import qdq_good
import qdq_numbers
import qdq_operators
import qdq_places
from qdq_case import CASES, Case, one_conv, rounded_input

PARTS = (qdq_good, qdq_numbers, qdq_operators, qdq_places)

__all__ = ["CASES", "PARTS", "Case", "one_conv", "rounded_input"]
