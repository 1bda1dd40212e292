"""The rules and NVIDIA's own parser and builder, held together on the same graphs."""

from __future__ import annotations

import numpy as np
import pytest
from qdq_cases import CASES
from qdq_graphs import Drawn
from tensorrt_verdict import build, builds_elsewhere, parse

from yolo_slim.export.tensorrt_rules import check

pytest.importorskip("tensorrt_rtx")


def n_faults(model) -> int:
    return sum(finding.severity == "fault" for finding in check(model))


@pytest.mark.parametrize("name", CASES)
def test_the_parser_refuses_nothing_that_the_rules_let_pass(name):
    case = CASES[name]
    model = case.draw()
    assert (parse(model) != "") == (case.nvidia == "refused")
    faulty = n_faults(model) > 0
    if case.laxer:
        assert faulty
        assert case.nvidia == "builds"
    else:
        assert faulty == (case.nvidia != "builds")


def test_a_scale_from_the_data_ends_the_builder_s_process():
    (name,) = (name for name, case in CASES.items() if case.nvidia == "crashes")
    assert not builds_elsewhere(CASES[name].draw())


@pytest.mark.parametrize("name", ["int8 weights behind a dq", "float16 throughout"])
def test_what_the_rules_let_pass_is_built(name):
    assert build(CASES[name].draw())


def test_a_dynamic_shape_is_built_with_a_profile_alone():
    draw = Drawn()
    model = draw.model(draw.float_conv(draw.conv(draw.qdq("x", "in"))), shape=("batch", 16, 8, 8))
    assert "dynamic-shape" in {f.kind for f in check(model) if f.severity == "note"}
    assert n_faults(model) == 0
    assert build(model) is None
    assert build(model, opt_shape=(1, 16, 8, 8))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].nvidia != "crashes"])
def test_the_builder_agrees_with_the_parser(name):
    assert (build(CASES[name].draw()) is None) == (CASES[name].nvidia == "refused")


def _plan_bytes(data: str, weights: str) -> int:
    channels = 256
    draw = Drawn()
    shape = (channels, channels, 3, 3)
    x = draw.qdq("x", "in") if data == "int8" else "x"
    weight = draw.weight("w", shape) if weights == "int8" else draw.float_weight("w", shape)
    plan = build(draw.model(draw.conv(x, made=channels, weight=weight), shape=(1, channels, 8, 8)))
    assert plan is not None
    return len(plan)


@pytest.mark.slow
def test_half_quantized_is_built_and_kept_in_float():
    """What `half-quantized` says is seen in the plan: the kernel lies in it in float32."""
    kernel = 256 * 256 * 9
    whole, half, real = (_plan_bytes(*p) for p in (("int8", "int8"), ("int8", "f"), ("f", "f")))
    assert half - whole > 2.5 * kernel
    assert abs(half - real) < 0.1 * kernel


def test_the_table_has_good_and_bad_graphs_and_every_reason():
    verdicts = [case.nvidia for case in CASES.values()]
    assert verdicts.count("refused") >= 20
    assert sum(not case.found for case in CASES.values()) >= 15
    assert np.all([case.laxer == "" or case.nvidia == "builds" for case in CASES.values()])
