"""Q/DQ graphs with nothing wrong."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from qdq_case import SHAPE, case, one_conv, rounded_input
from qdq_graphs import CHANNELS, Drawn


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
