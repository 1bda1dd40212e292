"""Whether TensorRT can build an INT8 engine of an ONNX graph, asked without TensorRT or a GPU."""

from yolo_slim.export.tensorrt_rules.finding import Finding
from yolo_slim.export.tensorrt_rules.run import check

__all__ = ["Finding", "check"]
