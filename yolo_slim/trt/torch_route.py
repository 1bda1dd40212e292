"""The other way to an engine: Torch-TensorRT, from the module, without ONNX between.

Not run by the tests: Torch-TensorRT 2.14 cannot be imported without a driver.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from yolo_slim.errors import InputError, RunError
from yolo_slim.metadata import IMAGE_NAME
from yolo_slim.nn.network import Network
from yolo_slim.trt.api import require_gpu

DEVICE = "cuda"
EXTRA = 'pip install "yolo-slim[torch-tensorrt]"'


class FloatEnds(nn.Module):
    """A network in `dtype` whose input and maps are float32, as those of an ONNX file are."""

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network.to(dtype), dtype

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(raw.float() for raw in self.network(images.to(self.dtype)))


def load_torch_tensorrt() -> Any:
    """Raises InputError where it cannot be imported: it needs a driver, torch 2.14 and
    tensorrt-cu13 11.1, so that it cannot share an environment with a newer TensorRT."""
    require_gpu("--route torch-tensorrt", "use --route onnx with --flavor rtx")
    try:
        import torch_tensorrt
    except Exception as error:  # a plain Exception, where TensorRT is missing
        told = " ".join(str(error).split())[:160]
        raise InputError(
            f"Torch-TensorRT cannot be imported ({told})\nit needs an NVIDIA driver, torch 2.14 "
            f"and tensorrt-cu13 11.1: {EXTRA}, in an environment of its own"
        ) from None
    return torch_tensorrt


def torch_tensorrt_plan(
    network: Network, image_chw: tuple[int, int, int], half: bool
) -> tuple[bytes, tuple[str, ...]]:
    """A serialized engine for one image at a time, and the names of its maps.

    network: float, BatchNorm folded. INT8 needs Q/DQ in the module, which only NVIDIA's ModelOpt
    puts there in the form that Torch-TensorRT converts: our INT8 goes through ONNX.
    """
    torch_tensorrt = load_torch_tensorrt()
    names = tuple(f"head_{number}" for number in range(len(network.cfg.output_indices)))
    module = FloatEnds(network, torch.float16 if half else torch.float32).eval().to(DEVICE)
    images = torch.zeros(1, *image_chw, device=DEVICE)
    try:
        with torch.no_grad():
            exported = torch.export.export(module, (images,))
        plan = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            exported,
            arg_inputs=(images,),
            require_full_compilation=True,
            arg_input_binding_names=(IMAGE_NAME,),
            output_binding_names=names,
        )
    except Exception as error:  # RuntimeError and types of its own
        told = " ".join(str(error).split())[:300]
        raise RunError(f"Torch-TensorRT cannot convert {network.cfg.source}: {told}") from None
    return bytes(plan), names
