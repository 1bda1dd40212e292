"""Q/DQ graphs with other numbers, types or scales of weights than TensorRT takes."""

from __future__ import annotations

import numpy as np
from qdq_case import SHAPE, case, one_conv, rounded_input
from qdq_graphs import CHANNELS, Drawn

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
