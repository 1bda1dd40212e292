"""Q/DQ graphs, what our rules say of each, and what NVIDIA's parser and builder do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper
from qdq_graphs import CHANNELS, Drawn

Verdict = Literal["builds", "refused", "crashes"]
SHAPE = (CHANNELS, CHANNELS, 3, 3)


@dataclass(frozen=True)
class Case:
    """found: (rule, node) of each fault and warning. nvidia: what TensorRT for RTX does.

    laxer: where it builds what we call a fault, why that is one all the same.
    """

    draw: Callable[[], onnx.ModelProto]
    found: frozenset[tuple[str, str]]
    nvidia: Verdict
    laxer: str


CASES: dict[str, Case] = {}


def case(*found: tuple[str, str], nvidia: Verdict = "builds", laxer: str = "") -> Callable:
    def keep(draw: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
        name = draw.__name__.removeprefix("_").replace("_", " ")
        CASES[name] = Case(draw, frozenset(found), nvidia, laxer)
        return draw

    return keep


def one_conv(draw: Drawn, data: str, weight: str | None = None, **more: Any) -> onnx.ModelProto:
    """The data, an INT8 convolution, LeakyRelu, a head in float."""
    x = draw.node("LeakyRelu", [draw.conv(data, weight=weight)], "leaky", alpha=0.1)
    return draw.model(draw.float_conv(x), **more)


def rounded_input(real: Any = np.float32, **grid: Any) -> tuple[Drawn, str]:
    draw = Drawn(real)
    return draw, draw.qdq("x", "in", **grid)


# --- nothing wrong --------------------------------------------------------------------------------


@case()
def _int8_weights_behind_a_dq():
    return one_conv(*rounded_input())


@case()
def _float_weights_behind_q_and_dq():
    draw, x = rounded_input()
    scales = np.full(CHANNELS, 0.01)
    return one_conv(draw, x, draw.qdq(draw.float_weight("k", SHAPE), "w", scales, axis=0))


@case()
def _one_scale_for_the_weights():
    draw, x = rounded_input()
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE), "w", 0.01))


@case()
def _a_scale_in_a_vector_of_one():
    return one_conv(*rounded_input(scale=[0.05]))


@case()
def _an_axis_counted_from_behind():
    draw, x = rounded_input()
    scales = np.full(CHANNELS, 0.01)
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE), "w", scales, axis=-4))


@case()
def _int8_weights_without_a_zero_point():
    draw, x = rounded_input()
    inputs = [draw.steps("k", SHAPE), draw.store("s", 0.01)]
    return one_conv(draw, x, draw.node("DequantizeLinear", inputs))


@case()
def _the_type_as_an_attribute():
    draw = Drawn()
    step = draw.store("s", 0.05)
    q = draw.node("QuantizeLinear", ["x", step], "in.q", output_dtype=TensorProto.INT8)
    return one_conv(draw, draw.node("DequantizeLinear", [q, step]), opset=21)


@case()
def _a_scale_in_a_Constant_node_and_behind_Identity():
    draw = Drawn()
    step = draw.node("Constant", [], value_float=0.05)
    zero = draw.node("Identity", [draw.store("z", 0, np.int8)])
    q = draw.node("QuantizeLinear", ["x", step, zero])
    return one_conv(draw, draw.node("DequantizeLinear", [q, step, zero]))


@case()
def _float16_throughout():
    return one_conv(*rounded_input(np.float16))


@case()
def _a_transposed_convolution_along_axis_1():
    draw, x = rounded_input()
    weight = draw.weight("w", (CHANNELS, 32, 2, 2), axis=1)
    return draw.model(draw.float_conv(draw.node("ConvTranspose", [x, weight]), read=32))


@case()
def _a_pool_between_dq_and_convolution():
    draw, x = rounded_input()
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    return one_conv(draw, draw.node("MaxPool", [x], **pool))


@case()
def _a_depthwise_convolution():
    draw, x = rounded_input()
    return draw.model(draw.float_conv(draw.conv(x, group=CHANNELS)))


@case()
def _a_Gemm_of_either_form():
    draw, x = rounded_input()
    straight = draw.node("Gemm", [x, draw.weight("a", (32, 8), axis=1)])
    turned = draw.node("Gemm", [x, draw.weight("b", (8, 32), axis=0)], transB=1)
    both = draw.node("Concat", [straight, turned], axis=1)
    return draw.model(draw.node("Gemm", [both, draw.float_weight("c", (16, 4))]), shape=(2, 32))


@case()
def _a_MatMul_whose_weights_are_turned():
    draw, x = rounded_input()
    weight = draw.node("Transpose", [draw.weight("a", (8, 32), axis=0)], perm=[1, 0])
    y = draw.node("MatMul", [x, weight])
    return draw.model(draw.node("MatMul", [y, draw.float_weight("c", (8, 4))]), shape=(2, 32))


@case()
def _two_maps_joined_on_one_scale():
    draw, x = rounded_input()
    parts = [draw.node("Relu", [draw.conv(x, name)]) for name in "ab"]
    joined = draw.node("Concat", [draw.qdq(p, f"in{p}", 0.07) for p in parts], axis=1)
    return draw.model(draw.float_conv(draw.conv(joined, "c", read=32)))


@case()
def _a_residual_addition_on_both_sides():
    draw, x = rounded_input()
    y = draw.node("LeakyRelu", [draw.conv(x)])
    return draw.model(draw.float_conv(draw.node("Add", [draw.qdq(y, "y"), x])))


@case()
def _a_residual_addition_that_a_convolution_takes_in():
    draw, x = rounded_input()
    return draw.model(draw.float_conv(draw.node("Relu", [draw.node("Add", [draw.conv(x), x])])))


@case()
def _a_branch():
    draw, x = rounded_input()
    y = draw.conv(x)
    type_info = helper.make_tensor_value_info
    bodies = [
        helper.make_graph(
            [helper.make_node(op, [y], [f"{op}.out"], name=op)], op, [],
            [type_info(f"{op}.out", TensorProto.FLOAT, (1, CHANNELS, 8, 8))],
        )
        for op in ("Relu", "Abs")
    ]  # fmt: skip
    test = draw.store("test", True, bool)
    chosen = draw.node("If", [test], "chosen", then_branch=bodies[0], else_branch=bodies[1])
    return draw.model(draw.float_conv(chosen))


@case()
def _int8_from_outside():
    draw = Drawn()
    return one_conv(draw, draw.dq("x", "in"), takes=np.int8)


@case()
def _nothing_quantized():
    draw = Drawn()
    return draw.model(draw.float_conv("x"))


# --- numbers --------------------------------------------------------------------------------------

AS_INT8 = "read as INT8: steps over 127 are cut off, the numbers are other ones"


@case(("not-int8", "in.q"), laxer=AS_INT8)
def _unsigned_steps():
    return one_conv(*rounded_input(dtype=np.uint8))


@case(("not-int8", "in.q"), ("nonzero-zero-point", "in.q"), nvidia="refused")
def _unsigned_steps_around_128():
    return one_conv(*rounded_input(zero=128, dtype=np.uint8))


@case(("not-int8", "w.dq"), nvidia="refused")
def _unsigned_weights():
    draw, x = rounded_input()
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE, np.uint8), "w", 0.01, 0, np.uint8))


@case(("not-int8", "in.q"), laxer=AS_INT8)
def _no_zero_point():
    draw = Drawn()
    step = draw.store("s", 0.05)
    q = draw.node("QuantizeLinear", ["x", step], "in.q")
    return one_conv(draw, draw.node("DequantizeLinear", [q, step]))


@case(("not-int8", "in.q"), nvidia="refused")
def _sixteen_bits():
    return one_conv(*rounded_input(dtype=np.int16), opset=21)


@case(("nonzero-zero-point", "in.q"), nvidia="refused")
def _a_zero_point_of_3():
    return one_conv(*rounded_input(zero=3))


@case(("nonzero-zero-point", "w.dq"), nvidia="refused")
def _a_zero_point_of_weights():
    draw, x = rounded_input()
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE), "w", 0.01, zero=1))


@case(("scale-not-positive", "in.q"), nvidia="refused")
def _a_scale_of_0():
    return one_conv(*rounded_input(scale=0.0))


@case(("scale-not-positive", "in.q"), nvidia="refused")
def _a_negative_scale():
    return one_conv(*rounded_input(scale=-0.05))


@case(("scale-not-positive", "in.q"), nvidia="refused")
def _a_scale_that_is_no_number():
    return one_conv(*rounded_input(scale=np.nan))


@case(("scale-not-positive", "in.q"), laxer="every value becomes 0, or no number")
def _an_infinite_scale():
    return one_conv(*rounded_input(scale=np.inf))


@case(("scale-not-positive", "w.dq"), nvidia="refused")
def _one_negative_scale_of_many():
    draw, x = rounded_input()
    scales = np.linspace(-0.001, 0.01, CHANNELS)
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE), "w", scales, axis=0))


@case(("scale-not-constant", "in.q"), nvidia="crashes")
def _a_scale_from_the_data():
    draw = Drawn()
    most = draw.node("ReduceMax", [draw.node("Abs", ["x"])], keepdims=0)
    step = draw.node("Div", [most, draw.store("steps", 127)])
    zero = draw.store("z", 0, np.int8)
    q = draw.node("QuantizeLinear", ["x", step, zero], "in.q")
    return one_conv(draw, draw.node("DequantizeLinear", [q, step, zero]))


@case(("computed-scale", "in.q"))
def _a_scale_from_constants():
    draw = Drawn()
    step = draw.node("Div", [draw.store("most", 6), draw.store("steps", 127)])
    zero = draw.store("z", 0, np.int8)
    q = draw.node("QuantizeLinear", ["x", step, zero], "in.q")
    return one_conv(draw, draw.node("DequantizeLinear", [q, step, zero]))


@case(("int32-bias", "b.dq"), nvidia="refused")
def _a_bias_in_int32():
    draw, x = rounded_input()
    steps = draw.store("b.steps", np.ones(CHANNELS), np.int32)
    bias = draw.dq(steps, "b", np.full(CHANNELS, 0.001), 0, np.int32, axis=0)
    y = draw.node("Conv", [x, draw.weight("w", SHAPE), bias], "conv", pads=[1] * 4)
    return draw.model(draw.float_conv(y))


@case(("quantized-bias", "conv"))
def _a_bias_in_int8():
    draw, x = rounded_input()
    bias = draw.dq(draw.store("b.steps", np.ones(CHANNELS), np.int8), "b", 0.001)
    y = draw.node("Conv", [x, draw.weight("w", SHAPE), bias], "conv", pads=[1] * 4)
    return draw.model(draw.float_conv(y))


@case(("scale-count", "w.dq"), nvidia="refused")
def _fewer_scales_than_channels():
    draw, x = rounded_input()
    scales = np.full(CHANNELS // 2, 0.01)
    return one_conv(draw, x, draw.dq(draw.steps("k", SHAPE), "w", scales, axis=0))


@case(("scale-count", "in.q"), nvidia="refused")
def _blocks():
    scales = np.full((1, CHANNELS // 4, 8, 8), 0.05)
    return one_conv(*rounded_input(scale=scales, axis=1, block_size=4), opset=21)


@case(("per-channel-activation", "in.q"), laxer="no INT8 kernel sums over such data")
def _scales_for_the_channels_of_a_map():
    return one_conv(*rounded_input(scale=np.linspace(0.02, 0.05, CHANNELS), axis=1))


@case(("pair-scales", "in.dq"))
def _two_scales_in_a_pair():
    draw = Drawn()
    q = draw.q("x", "in", 0.05)
    return one_conv(draw, draw.node("DequantizeLinear", [q, draw.store("s", 0.07), "in.zero"],
                                    "in.dq"))  # fmt: skip


# --- types ----------------------------------------------------------------------------------------


@case(("scale-type", "in.q"), ("scale-type", "conv"), ("scale-type", "head"), nvidia="refused")
def _float32_scales_in_a_float16_graph():
    draw, x = rounded_input()
    weight = draw.weight("w", SHAPE)
    draw.real = np.float16
    return one_conv(draw, x, weight)


@case(("scale-type", "conv"), nvidia="refused")
def _a_float32_bias_in_a_float16_graph():
    draw, x = rounded_input(np.float16)
    weight = draw.weight("w", SHAPE)
    bias = draw.store("b", np.zeros(CHANNELS), np.float32)
    y = draw.node("Conv", [x, weight, bias], "conv", pads=[1] * 4)
    return draw.model(draw.float_conv(y))


@case(("scale-type", "in.q"), nvidia="refused")
def _integers_rounded():
    return one_conv(*rounded_input(), takes=np.int32)


@case(("opset", ""), laxer="ONNX has no such scales; ONNX Runtime does not load it")
def _float16_scales_at_opset_18():
    return one_conv(*rounded_input(np.float16), opset=18)


# --- weights --------------------------------------------------------------------------------------

NO_KERNEL = "no INT8 kernel has such scales: slow, not refused"


@case(("weight-axis", "w.dq"), laxer=NO_KERNEL)
def _weights_along_the_channels_read():
    draw, x = rounded_input()
    return one_conv(draw, x, draw.weight("w", SHAPE, axis=1))


@case(("weight-axis", "w.dq"), laxer=NO_KERNEL)
def _a_transposed_convolution_along_axis_0():
    draw, x = rounded_input()
    weight = draw.weight("w", (CHANNELS, 32, 2, 2), axis=0)
    return draw.model(draw.float_conv(draw.node("ConvTranspose", [x, weight]), read=32))


@case(("weight-axis", "a.dq"), ("weight-axis", "b.dq"), laxer=NO_KERNEL)
def _a_Gemm_and_a_MatMul_along_what_they_sum():
    draw, x = rounded_input()
    y = draw.node("Gemm", [x, draw.weight("a", (32, 8), axis=0)])
    z = draw.node("MatMul", [x, draw.weight("b", (32, 8), axis=0)])
    both = draw.node("Concat", [y, z], axis=1)
    return draw.model(draw.node("Gemm", [both, draw.float_weight("c", (16, 4))]), shape=(2, 32))


@case(("channel-multiple", "grouped"), ("channel-multiple", "point"), ("channel-multiple", "thin"))
def _channels_that_fill_no_kernel():
    draw, x = rounded_input()
    y = draw.conv(x, "grouped", made=12, group=4)
    y = draw.conv(draw.qdq(y, "y"), "thin", made=10, read=12)
    z = draw.conv(x, "point", size=1, group=CHANNELS)
    return draw.model(draw.float_conv(y, "head1", 10), draw.float_conv(z, "head2"))


@case(("clip-on-weights", "clip"))
def _float_weights_clipped():
    draw, x = rounded_input()
    inputs = [draw.float_weight("k", SHAPE), draw.store("low", -0.2), draw.store("high", 0.2)]
    return one_conv(draw, x, draw.qdq(draw.node("Clip", inputs, "clip"), "w", 0.002))


# --- places ---------------------------------------------------------------------------------------


@case(
    ("rounding-before-activation", "out.q"), laxer="two kernels in place of one: slow, not refused"
)
def _rounding_between_convolution_and_activation():
    draw, x = rounded_input()
    y = draw.node("LeakyRelu", [draw.qdq(draw.conv(x), "out")])
    return draw.model(draw.float_conv(y))


IN_FLOAT = "the layer runs in float: slow, not refused"


@case(("half-quantized", "conv"), laxer=IN_FLOAT)
def _weights_in_float():
    draw, x = rounded_input()
    return one_conv(draw, x, draw.float_weight("w", SHAPE))


@case(("half-quantized", "conv"), laxer=IN_FLOAT)
def _data_in_float():
    return one_conv(Drawn(), "x")


@case(("half-quantized", "gemm"), laxer=IN_FLOAT)
def _a_Gemm_with_weights_in_float():
    draw, x = rounded_input()
    y = draw.node("Gemm", [x, draw.float_weight("w", (32, 8))], "gemm")
    return draw.model(draw.node("Gemm", [y, draw.float_weight("c", (8, 4))]), shape=(2, 32))


APART = "Q and DQ are kernels of their own: slow, not refused"


@case(("between-q-and-dq", "pool"), laxer=APART)
def _a_pool_between_q_and_dq():
    draw = Drawn()
    steps = draw.node("MaxPool", [draw.q("x", "in")], "pool", kernel_shape=[3, 3], pads=[1] * 4)
    return one_conv(draw, draw.dq(steps, "in"))


@case(("between-q-and-dq", "turn"), laxer=APART)
def _a_transposition_between_q_and_dq():
    draw = Drawn()
    steps = draw.node("Transpose", [draw.q("x", "in")], "turn", perm=[0, 1, 3, 2])
    return one_conv(draw, draw.dq(steps, "in"))


@case(("between-q-and-dq", "clip"), ("clip-on-weights", "clip"), laxer=APART)
def _integer_weights_clipped():
    draw, x = rounded_input()
    steps = draw.q(draw.float_weight("k", SHAPE), "w", 0.002)
    bounds = [draw.store("low", -127, np.int8), draw.store("high", 127, np.int8)]
    return one_conv(draw, x, draw.dq(draw.node("Clip", [steps, *bounds], "clip"), "w", 0.002))


@case(("between-q-and-dq", "conv"), nvidia="refused")
def _a_convolution_of_steps():
    draw = Drawn()
    y = draw.node("Conv", [draw.q("x", "in"), draw.steps("w", SHAPE)], "conv", pads=[1] * 4)
    return draw.model(draw.float_conv(y))


@case(
    ("q-without-dq", "in.q"), laxer="INT8 leaves the graph: whoever reads it has to know the scale"
)
def _steps_that_leave_the_graph():
    draw = Drawn()
    return draw.model(draw.q("x", "in"), gives=np.int8)


@case(("q-without-dq", "idle.q"), laxer="what nobody reads is left out")
def _steps_that_nobody_reads():
    draw, x = rounded_input()
    draw.q("x", "idle")
    return one_conv(draw, x)


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


# --- maps -----------------------------------------------------------------------------------------


@case(("unequal-scales", "join"))
def _two_maps_joined_on_two_scales():
    draw, x = rounded_input()
    parts = [draw.qdq(draw.node("Relu", [draw.conv(x, name)]), f"in{name}", scale)
             for name, scale in (("a", 0.07), ("b", 0.09))]  # fmt: skip
    joined = draw.node("Concat", parts, "join", axis=1)
    return draw.model(draw.float_conv(draw.conv(joined, "c", read=32)))


@case(("unequal-scales", "join"))
def _a_map_rounded_for_itself_and_where_it_is_joined():
    draw, x = rounded_input()
    a, b = (draw.node("Relu", [draw.conv(x, name)]) for name in "ab")
    alone = draw.float_conv(draw.conv(draw.qdq(a, "alone", 0.05), "c"), "head1")
    joined = draw.node("Concat", [a, draw.node("Identity", [b])], "join", axis=1)
    return draw.model(
        alone, draw.float_conv(draw.conv(draw.qdq(joined, "both", 0.08), "d", read=32))
    )


@case(("unequal-scales", "pool"))
def _a_pool_between_two_scales():
    draw, x = rounded_input()
    a = draw.node("Relu", [draw.conv(x, "a")])
    before = draw.float_conv(draw.conv(draw.qdq(a, "before", 0.05), "b"), "head1")
    pooled = draw.node("MaxPool", [a], "pool", kernel_shape=[2, 2], strides=[2, 2])
    return draw.model(before, draw.float_conv(draw.conv(draw.qdq(pooled, "after", 0.08), "c")))


@case(("quantized-head", "conv"))
def _a_head_in_int8():
    draw, x = rounded_input()
    return draw.model(draw.node("Sigmoid", [draw.conv(x)]))


@case(("quantized-head", "conv"), ("rounded-output", "out.dq"))
def _an_output_that_is_rounded():
    draw, x = rounded_input()
    return draw.model(draw.qdq(draw.conv(x), "out"))


@case(("quantized-head", "conv"))
def _a_head_in_int8_before_a_mean_over_bins():
    draw, x = rounded_input()
    bins = draw.node("Softmax", [draw.node("Reshape", [draw.conv(x), draw.store(
        "bins", [1, CHANNELS, 1, -1], np.int64)])], axis=1)  # fmt: skip
    return draw.model(draw.float_conv(bins, "mean", made=1))


@case(("residual-add", "add"))
def _a_residual_addition_on_one_side():
    draw, x = rounded_input()
    y = draw.node("LeakyRelu", [draw.conv(x)])
    return draw.model(draw.float_conv(draw.node("Add", [y, x], "add")))
