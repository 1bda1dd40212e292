"""The inspector's report. The convolution is the example of NVIDIA's developer guide, with the
metadata that later versions add; nothing here was printed by an engine of ours."""

from __future__ import annotations

import json

import pytest

from yolo_slim.trt.layers import Layer, convolution_types, not_in_int8, read_layers


def convolution(node: str, datatype: str, weights: str) -> dict[str, object]:
    return {
        "Name": f"{node} + activation",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "x", "Dimensions": [16, 512, 28, 28], "Format/Datatype": datatype}],
        "Outputs": [{"Name": "y", "Dimensions": [16, 256, 28, 28], "Format/Datatype": datatype}],
        "ParameterType": "Convolution",
        "Kernel": [1, 1],
        "Weights": {"Type": weights, "Count": 131072},
        "TacticName": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32",
        "Metadata": f"[ONNX Layer: {node}]\x1e[ONNX Layer: {node}.leaky]",
    }


LINEAR = "Row major linear FP32"
REPORT = json.dumps({"Layers": [
    {"Name": "Reformatting CopyNode for Input Tensor 0", "LayerType": "Reformat",
     "Inputs": [{"Format/Datatype": LINEAR}], "Outputs": [{"Format/Datatype": "Int8"}],
     "ParameterType": "Reformat", "Metadata": ""},
    convolution("0.conv", "Thirty-two wide channel vectorized row major Int8 format.", "Int8"),
    convolution("1.conv", "Channel major FP16 format where channel % 8 == 0", "Half"),
    convolution("2.conv", "Half", "Int8"),
    {"Name": "{ForeignNode[3.conv...head_0]}", "LayerType": "Myelin", "Inputs": [],
     "Metadata": "[ONNX Layer: 3.conv]"},
    "only a name",
]})  # fmt: skip


def test_types_kinds_and_nodes():
    layers = read_layers(REPORT)
    assert len(layers) == 6
    assert layers[1] == Layer("0.conv + activation", "Convolution", "INT8", "INT8",
                              ("0.conv", "0.conv.leaky"))  # fmt: skip
    assert [layer.reads for layer in layers] == ["FP32", "INT8", "FP16", "FP16", "?", "?"]
    assert [layer.weights for layer in layers] == ["?", "INT8", "FP16", "INT8", "?", "?"]


def test_convolutions_by_what_they_read():
    assert convolution_types(read_layers(REPORT)) == {"FP16": 2, "INT8": 1, "?": 1}


def test_a_quantized_convolution_that_runs_in_float_is_named_and_an_unknown_one_is_not():
    nodes = ("0.conv", "2.conv", "3.conv", "9.conv")
    assert not_in_int8(read_layers(REPORT), nodes) == ("2.conv",)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", '{"Layers": []}', '{"Layers": [3]}',
                                  "layer one\nlayer two"])  # fmt: skip
def test_what_is_no_report_has_no_layers(text):
    assert read_layers(text) == []
