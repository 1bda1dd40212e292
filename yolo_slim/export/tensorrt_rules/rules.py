"""The table of all rules: what each means, and what to do."""

from __future__ import annotations

from yolo_slim.findings import Kind

# fault: TensorRT refuses the graph, reads other numbers than were meant, or runs in float what
# should run in INT8. warning: it builds, and is slower or less exact than it could be. note: worth
# knowing before it is built.
RULES: dict[str, Kind] = {
    # The file as a whole.
    "invalid-onnx": Kind("fault", "Export it again."),
    "opset": Kind("fault", "Export it at opset 19 to 25, or convert it (onnx.version_converter)."),
    "foreign-operator": Kind("fault", "Export it in ONNX's own operators; others need a plugin."),
    "integer-operator": Kind("fault", "Write Q/DQ around float operators (quant_format=QDQ)."),
    # The numbers of one QuantizeLinear or DequantizeLinear.
    "not-int8": Kind("fault", "Quantize to signed INT8 (QInt8), activations and weights alike."),
    "int32-bias": Kind(
        "fault", "Leave biases in float (QuantizeBias=False): TensorRT rounds them itself."
    ),
    "nonzero-zero-point": Kind("fault", "Quantize symmetrically (ActivationSymmetric=True)."),
    "scale-not-constant": Kind("fault", "Calibrate, and store each scale as a constant."),
    "scale-not-positive": Kind(
        "fault", "Calibrate again; a map that is always 0 needs some small scale."
    ),
    "scale-count": Kind(
        "fault", "One scale for a tensor, or one for each output channel of a weight."
    ),
    "scale-type": Kind("fault", "Give data, scales, weights and biases one float type."),
    "per-channel-activation": Kind("fault", "One scale for the whole map: only weights have more."),
    "weight-axis": Kind(
        "fault", "Quantize weights along their output channels: no other scale can leave the sum."
    ),
    # Where Q and DQ stand.
    "q-without-dq": Kind("fault", "Put a DequantizeLinear of the same scale behind it."),
    "between-q-and-dq": Kind(
        "fault", "Move it before the Q or behind the DQ: a pair has to stand together."
    ),
    "half-quantized": Kind("fault", "Q/DQ on both inputs, or on neither."),
    "rounding-before-activation": Kind(
        "fault", "Move Q/DQ behind the activation, so that it is fused with its convolution."
    ),
    # What costs speed or accuracy.
    "opset-before-19": Kind("warning", "Export at opset 19 or later: its scales may be FP16."),
    "computed-scale": Kind("warning", "Fold constants after the export (onnxsim, onnxslim)."),
    "pair-scales": Kind("warning", "Give Q and its DQ one scale: two stretch the values."),
    "unequal-scales": Kind(
        "warning", "Give all of them the largest scale: each other one is one more rounding."
    ),
    "quantized-head": Kind(
        "warning", "Leave the last convolution in float: offsets and logits differ in size."
    ),
    "rounded-output": Kind("warning", "Take Q/DQ off: boxes in px and scores share no scale."),
    "residual-add": Kind(
        "warning", "Q/DQ on both inputs, or on the one that does not come from a convolution."
    ),
    "channel-multiple": Kind(
        "warning", "Prune to multiples of 8 (better 16), or leave it in float."
    ),
    "quantized-bias": Kind("warning", "Leave biases in float."),
    "clip-on-weights": Kind("warning", "Clip the weights before the export: they are constants."),
    "nms-boxes": Kind("warning", "Cut to 3000 boxes by TopK first, or suppress on the host."),
    "topk-limit": Kind("warning", "Ask for fewer: 3000 boxes are plenty."),
    # Before it is built.
    "dynamic-shape": Kind(
        "note", "Build with an optimization profile (--minShapes, --optShapes, --maxShapes)."
    ),
    "no-int8": Kind("note", "Quantize it: TensorRT 11 does no calibration of its own."),
    "float32-rest": Kind("note", "Convert the float part to FP16, with its scales, for speed."),
    "other-number-type": Kind("note", "Look at it elsewhere: these rules are those of INT8."),
}
