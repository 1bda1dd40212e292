"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

from yolo_slim.openvino_graph import loading, openvino_core, read_graph, told_by
from yolo_slim.runtime.one_image import OneImageSession
from yolo_slim.runtime.session import Array


class OpenvinoSession(OneImageSession):
    """Runs an .xml or .onnx file that this package wrote, made for the least latency.

    float32: what is not INT8 is computed in float32. Else OpenVINO decides, as it does for whoever
    deploys the file: bfloat16 where the CPU has it.

    Raises InputError for a file that cannot be run, and where OpenVINO is not installed.
    """

    runtime = "openvino"

    def __init__(self, path: Path, threads: int, float32: bool = False) -> None:
        model = read_graph(path)
        super().__init__(*told_by(model, path.name))
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if float32:
            self.runtime = "openvino-f32"
            options["INFERENCE_PRECISION_HINT"] = "f32"
        with loading(path):
            self.compiled = openvino_core().compile_model(model, "CPU", options)

    def run_one(self, image: Array) -> list[Array]:
        maps = self.compiled(image)
        return [maps[output] for output in self.compiled.outputs]
