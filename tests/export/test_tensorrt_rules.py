"""Each rule finds its fault, names the node, and says nothing of a graph without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from qdq_cases import CASES, one_conv, rounded_input
from qdq_graphs import Drawn

from yolo_slim.export.tensorrt_rules import check
from yolo_slim.export.tensorrt_rules.finding import found
from yolo_slim.export.tensorrt_rules.rules import RULES
from yolo_slim.export.tensorrt_rules.run import view_of
from yolo_slim.export.tensorrt_rules.summary import Int8Share, int8_share

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tensorrt-rules.md"


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_found_where_it_is_and_nothing_else(name):
    findings = check(CASES[name].draw())
    told = [(f.kind, f.node) for f in findings if f.severity != "note"]
    assert len(set(told)) == len(told)
    assert set(told) == CASES[name].found
    assert all(f.message and f.severity == RULES[f.kind].severity for f in findings)


def boxes(count: int) -> onnx.ModelProto:
    draw = Drawn()
    scores = draw.store("scores", np.ones((1, 1, count)))
    draw.node("NonMaxSuppression", ["x", scores], "nms")
    return draw.model("nms", shape=(1, count, 4), gives=np.int64)


def best(k: int) -> onnx.ModelProto:
    draw = Drawn()
    outputs = ["values", "places"]
    inputs = ["x", draw.store("k", [k], np.int64)]
    draw.nodes.append(helper.make_node("TopK", inputs, outputs, name="best"))
    return draw.model("values", shape=(1, 10_000))


def eight_bit_floats() -> onnx.ModelProto:
    draw = Drawn()
    draw.stored["z"] = helper.make_tensor("z", TensorProto.FLOAT8E4M3FN, [], [0.0])
    grid = [draw.store("s", 0.1), "z"]
    q = draw.node("QuantizeLinear", ["x", *grid], "q")
    return draw.model(draw.node("DequantizeLinear", [q, *grid], "dq"))


def without_rounding(opset: int) -> onnx.ModelProto:
    draw = Drawn()
    return draw.model(draw.float_conv("x"), opset=opset)


LIMITS: dict[str, tuple[Callable[[], onnx.ModelProto], str | None, str]] = {
    "as many boxes as TensorRT looks at": (lambda: boxes(5000), None, "nms"),
    "one box more": (lambda: boxes(5001), "nms-boxes", "nms"),
    "as many of the best as it sorts": (lambda: best(3839), None, "best"),
    "one more of the best": (lambda: best(3840), "topk-limit", "best"),
    "a batch of any size": (
        lambda: one_conv(*rounded_input(), shape=("n", 16, 8, 8)), "dynamic-shape", ""),
    "floats of 8 bits": (eight_bit_floats, "other-number-type", "q"),
    "an opset of 9 without rounding": (lambda: without_rounding(9), None, ""),
    "an opset of 8": (lambda: without_rounding(8), "opset", ""),
    "no rounding": (lambda: boxes(9), "no-int8", ""),
    "float32 around INT8": (lambda: one_conv(*rounded_input()), "float32-rest", ""),
    "float16 around INT8": (lambda: one_conv(*rounded_input(np.float16)), None, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits_and_notes(name):
    draw, rule, node = LIMITS[name]
    told = {(f.kind, f.node) for f in check(draw())}
    told -= {("rounded-output", "dq")}
    if rule is None:
        assert told <= {("no-int8", "")}
    else:
        assert (rule, node) in told
        assert {r for r, _ in told} <= {rule, "no-int8", "float32-rest"}


def test_every_rule_is_seen_on_some_graph():
    seen = {rule for case in CASES.values() for rule, _ in case.found}
    seen |= {rule for _, rule, _ in LIMITS.values() if rule}
    assert seen == set(RULES)


def test_a_finding_has_its_rule_s_severity_and_advice():
    finding = found("opset", "", "opset 7")
    assert (finding.severity, finding.advice) == ("fault", RULES["opset"].advice)
    assert finding.document() == {
        "rule": "opset", "severity": "fault", "node": "", "message": "opset 7",
        "advice": RULES["opset"].advice,
    }  # fmt: skip
    with pytest.raises(KeyError):
        found("no rule", "", "")


def test_faults_come_first():
    order = [f.severity for f in check(CASES["integer weights clipped"].draw())]
    assert order == sorted(order, key=["fault", "warning", "note"].index)
    assert len(set(order)) == 3


def test_a_node_without_a_name_is_known_by_what_it_makes():
    model = CASES["a zero point of 3"].draw()
    for node in model.graph.node:
        node.name = ""
    assert {f.node for f in check(model) if f.severity == "fault"} == {"QuantizeLinear -> in.q"}


def test_functions_are_looked_into():
    """What torch exports as a function of the model's own is no foreign operator."""
    model = CASES["a zero point of 3"].draw()
    (leaky,) = (n for n in model.graph.node if n.op_type == "LeakyRelu")
    body = [helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.1)]
    versions = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "Bent", ["a"], ["b"], body, versions))
    model.opset_import.append(helper.make_opsetid("own", 1))
    leaky.op_type, leaky.domain = "Bent", "own"
    del leaky.attribute[:]
    told = {(f.kind, f.node) for f in check(model) if f.severity != "note"}
    assert told == {("nonzero-zero-point", "in.q")}


def test_the_share_of_int8_counts_multiplications():
    draw, x = rounded_input()
    y = draw.conv(x)  # 8 x 8 places, 16 x 16 x 9
    y = draw.node("ConvTranspose", [draw.qdq(y, "y"), draw.weight("t", (16, 4, 2, 2), axis=1)],
                  strides=[2, 2])  # fmt: skip
    model = draw.model(draw.float_conv(y, read=4))  # 16 x 16 places, 4 x 6
    int8 = 64 * 16 * 16 * 9 + 64 * 16 * 4 * 4
    expected = int8 / (int8 + 256 * 4 * 6)
    assert int8_share(view_of(model)) == Int8Share(3, 2, pytest.approx(expected))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    assert int8_share(view_of(model)) == Int8Share(3, 2, None)
    model = CASES["float16 throughout"].draw()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert int8_share(view_of(model)).macs_share == pytest.approx(0.96, abs=0.01)  # of one image


def test_the_docs_have_every_rule_with_its_severity():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert rows == [(rule, RULES[rule].severity) for rule in RULES]
