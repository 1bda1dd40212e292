"""How wide a layer may be: every case, against a list of what is legal."""

from __future__ import annotations

import math

import pytest

from yolo_slim.errors import InputError
from yolo_slim.prune.limits import Limits


@pytest.mark.parametrize("layer_keep", [0.0, 0.05, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("multiple", [1, 4, 8, 32])
def test_a_width_is_the_next_or_the_nearest_of_the_legal_ones(multiple, layer_keep):
    for of in range(1, 41):
        least = max(1, math.ceil(of * layer_keep))
        legal = sorted({w for w in range(least, of + 1) if w % multiple == 0} | {of})
        for kept in range(of + 1):
            wanted = max(kept, least)
            up = Limits(layer_keep, multiple).width(kept, of)
            nearest = Limits(layer_keep, multiple, "nearest").width(kept, of)
            assert up == min(w for w in legal if w >= wanted)
            assert nearest == min(legal, key=lambda w: (abs(w - wanted), -w))


@pytest.mark.parametrize(
    ("more", "told"),
    [({"layer_keep": 2}, "--layer-keep 2"), ({"layer_keep": -0.1}, "--layer-keep"),
     ({"multiple": 0}, "--multiple 0: expected 1 or more"),
     ({"rounding": "down"}, "--rounding down: unknown; expected one of up, nearest")],
)  # fmt: skip
def test_a_limit_out_of_range_is_named(more, told):
    with pytest.raises(InputError, match=told):
        Limits(**more)
