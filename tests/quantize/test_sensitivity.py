"""The section that was made bad is found; float plans have no error."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolo_slim.cfg import parse
from yolo_slim.errors import InputError
from yolo_slim.precision import ConvPrecision
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.sensitivity import sensitivity
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    return [torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]


def test_the_worst_section_comes_first(random_bundle, batches):
    bundle = quantize(random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32), batches)
    assert bundle.precision is not None
    bad = list(bundle.precision.convs)[3]
    plan = bundle.precision.convs[bad]
    coarse = ConvPrecision(tuple(40 * s for s in plan.weight_scales), plan.convolved)
    convs = {**bundle.precision.convs, bad: coarse}
    spoilt = replace(bundle, precision=replace(bundle.precision, convs=convs))
    told: list[tuple[int, int]] = []
    found = sensitivity(spoilt, batches, lambda done, total: told.append((done, total)))
    assert next(iter(found.gains())) == bad
    assert found.gains()[bad] > 0.5
    assert set(found.without) == set(convs)
    assert told[-1] == (len(convs), len(convs))


def test_where_the_whole_is_good_enough_none_is_asked(random_bundle, batches):
    bundle = quantize(random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32), batches)
    assert (found := sensitivity(bundle, batches, good_enough=10.0)).without == {}
    assert sensitivity(bundle, batches[:1], good_enough=found.whole / 10).without


def test_without_convolutions_in_int8_sums_alone_are_rounded(random_bundle, batches):
    bundle = quantize(random_bundle(build("yolov3-tiny", 2, 64), dtype=torch.float32), batches)
    assert bundle.precision is not None
    empty = replace(bundle, precision=bundle.precision.without(bundle.precision.convs))
    found = sensitivity(empty, batches)  # yolov3-tiny has no sums
    assert found.whole == pytest.approx(0, abs=1e-10)
    assert found.without == {}


def test_an_answer_of_one_number_has_the_variance_of_all_images(random_bundle):
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=8\nsize=3\nstride=2\n"
        "activation=relu\n[convolutional]\nfilters=1\nactivation=linear\n[avgpool]\n"
    )
    draw = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, 16, 16, generator=draw) for _ in range(8)]
    bundle = quantize(random_bundle(cfg, dtype=torch.float32), images)
    found = sensitivity(bundle, images)
    together = sensitivity(bundle, [torch.cat(images)])
    assert 0 < found.whole < 1
    assert found.whole == pytest.approx(together.whole * 8 / 7, rel=1e-3)
    assert set(found.without) == set(bundle.precision.convs)


def test_a_float_bundle_is_refused(random_bundle, batches):
    with pytest.raises(InputError, match="quantize it first"):
        sensitivity(random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32), batches)
