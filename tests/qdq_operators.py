"""Graphs of other operators, or that are no whole model."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from qdq_case import SHAPE, case, one_conv, rounded_input
from qdq_graphs import Drawn

# --- operators ------------------------------------------------------------------------------------


@case(("integer-operator", "conv"), nvidia="refused")
def _QLinearConv():
    draw = Drawn()
    steps, zero = draw.q("x", "in"), draw.store("z", 0, np.int8)
    weight, scale = draw.steps("w", SHAPE), draw.store("s", 0.1)
    inputs = [steps, "in.scale", "in.zero", weight, scale, zero, scale, zero]
    y = draw.node("QLinearConv", inputs, "conv", pads=[1] * 4)
    y = draw.node("Relu", [draw.node("DequantizeLinear", [y, scale, zero])])
    return draw.model(draw.float_conv(y))


@case(("integer-operator", "conv"), nvidia="refused")
def _ConvInteger():
    draw = Drawn()
    sums = draw.node("ConvInteger", [draw.q("x", "in"), draw.steps("w", SHAPE)], "conv")
    return draw.model(draw.float_conv(draw.node("Cast", [sums], to=TensorProto.FLOAT)))


@case(("integer-operator", "product"), nvidia="refused")
def _MatMulInteger():
    draw = Drawn()
    sums = draw.node("MatMulInteger", [draw.q("x", "in"), draw.steps("w", (8, 4))], "product")
    return draw.model(draw.node("Cast", [sums], to=TensorProto.FLOAT))


@case(
    ("integer-operator", "dynamic"), ("scale-not-constant", "in.dq"), ("not-int8", "in.dq"),
    ("nonzero-zero-point", "in.dq"), nvidia="refused",
)  # fmt: skip
def _DynamicQuantizeLinear():
    draw = Drawn()
    outputs = ["steps", "scale", "zero"]
    draw.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], outputs, name="dynamic"))
    return one_conv(draw, draw.node("DequantizeLinear", outputs, "in.dq"))


@case(("integer-operator", "sum"), nvidia="refused")
def _an_integer_operator_of_ONNX_Runtime():
    draw = Drawn()
    grid = ["in.scale", "in.zero"]
    inputs = [draw.q("x", "in"), *grid, "in.q", *grid, *grid]
    y = draw.node("QLinearAdd", inputs, "sum", domain="com.microsoft")
    return one_conv(draw, draw.dq(y, "in"), domains=["com.microsoft"])


BY_NAME = "the parser goes by an operator's name and never looks whose it is"


@case(("foreign-operator", "gelu"), laxer=BY_NAME)
def _an_operator_of_ONNX_Runtime():
    draw, x = rounded_input()
    y = draw.node("Gelu", [draw.conv(x)], "gelu", domain="com.microsoft")
    return draw.model(draw.float_conv(y), domains=["com.microsoft"])


@case(("foreign-operator", "whirl"), nvidia="refused")
def _an_operator_of_a_stranger():
    draw, x = rounded_input()
    y = draw.node("Whirl", [draw.conv(x)], "whirl", domain="org.example")
    return draw.model(draw.float_conv(y), domains=["org.example"])


@case(("foreign-operator", "nms"), nvidia="refused")
def _a_plugin():
    draw, x = rounded_input()
    y = draw.node("EfficientNMS_TRT", [draw.conv(x)], "nms")
    return draw.model(draw.float_conv(y))


# --- the model ------------------------------------------------------------------------------------


@case(("opset", ""), laxer="TensorRT 11 states 9 to 25, and looks at no number")
def _an_opset_of_tomorrow():
    return one_conv(*rounded_input(), opset=26)


@case(("opset", ""), laxer="scales per channel are none of ONNX's before 13")
def _an_opset_of_long_ago():
    draw, x = rounded_input()
    step = draw.dq(draw.steps("k", SHAPE), "w", 0.01)
    return one_conv(draw, x, step, opset=12)


@case(("opset-before-19", ""))
def _an_older_opset():
    return one_conv(*rounded_input(), opset=13)


@case(("invalid-onnx", ""), nvidia="refused")
def _a_tensor_that_nobody_makes():
    draw, x = rounded_input()
    return draw.model(draw.float_conv(draw.conv(x)), draw.float_conv("nobody", "other"))
