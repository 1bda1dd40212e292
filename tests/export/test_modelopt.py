"""The check takes what NVIDIA's own quantizer writes for TensorRT.

modelopt pins other versions of what this package stands on: install it beside them, by `pip install
--no-deps nvidia-modelopt onnx_graphsurgeon onnxslim onnxscript onnx_ir lief nvidia-ml-py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.tensorrt_rules.read import read_model
from yolo_slim.export.tensorrt_rules.run import findings, view_of
from yolo_slim.export.tensorrt_rules.summary import int8_share
from yolo_slim.zoo import build

modelopt = pytest.importorskip("modelopt.onnx.quantization", exc_type=ImportError)


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov3-nano"])
def test_its_graph_is_tensorrt_ready(name, random_bundle, tmp_path):
    bundle = random_bundle(build(name, 2, 64), dtype=torch.float32)
    export_onnx(bundle, tmp_path / "float.onnx")
    images = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)
    modelopt.quantize(
        str(tmp_path / "float.onnx"), calibration_data={"images": images},
        calibration_eps=["cpu"], high_precision_dtype="fp32",
        output_path=str(tmp_path / "int8.onnx"),
    )  # fmt: skip
    view = view_of(read_model(tmp_path / "int8.onnx"))
    assert [f.document() for f in findings(view) if f.severity == "fault"] == []
    assert int8_share(view).n_int8 > 3
