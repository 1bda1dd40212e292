"""What NVIDIA's own parser and builder do with a graph: TensorRT for RTX, without a GPU.

As a program: the plan of the model on standard input, to standard output.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import onnx


def parse(model: onnx.ModelProto) -> str:
    """'' where the parser takes the graph, else what it says."""
    import tensorrt_rtx as trt

    network = trt.Builder(_quiet()).create_network(0)
    parser = trt.OnnxParser(network, _quiet())
    if parser.parse(model.SerializeToString()):
        return ""
    return "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))


def build(model: onnx.ModelProto, opt_shape: tuple[int, ...] | None = None) -> bytes | None:
    """The plan for an SM86 GPU; None where parser or builder refuse.

    opt_shape: of the input, for an optimization profile.
    """
    import tensorrt_rtx as trt

    builder = trt.Builder(_quiet())
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, _quiet())
    if not parser.parse(model.SerializeToString()):
        return None
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    if opt_shape is not None:
        profile = builder.create_optimization_profile()
        profile.set_shape(network.get_input(0).name, opt_shape, opt_shape, opt_shape)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else bytes(plan)


def builds_elsewhere(model: onnx.ModelProto) -> bool:
    """Whether a plan comes out of a process of its own: some graphs end the builder's."""
    done = subprocess.run(
        [sys.executable, __file__], input=model.SerializeToString(), capture_output=True
    )
    return done.returncode == 0 and bool(done.stdout)


@cache
def _quiet():
    """A logger, which outlives whatever holds it."""
    import tensorrt_rtx as trt

    class Quiet(trt.ILogger):
        def log(self, severity, message):
            pass

    return Quiet()


if __name__ == "__main__":
    plan = build(onnx.ModelProto.FromString(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(plan or b"")
