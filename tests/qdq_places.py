"""Q/DQ graphs whose pairs stand where they should not."""

from __future__ import annotations

import numpy as np
from qdq_case import SHAPE, case, one_conv, rounded_input
from qdq_graphs import CHANNELS, Drawn

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
