"""What every engine looks like from outside, and the two that are always there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.metadata import (
    IMAGE_NAME,
    Answer,
    answer_of,
    from_metadata,
    int8_of,
    output_names,
)
from yolo_slim.nn.network import Network
from yolo_slim.nn.suppress import Suppression
from yolo_slim.nn.winograd.network import TileChoice, winograd
from yolo_slim.weights import network_of

Array = NDArray[np.float32]


class Session(ABC):
    """A loaded network. `cfg` says how its maps are read, `names` what its classes are called.

    answer: what `run` gives; see there. suppression: its numbers, of a session that gives
    detections. int8: the engine that its integer kernels are meant for.
    """

    runtime: str
    answer: Answer = "raw"
    suppression: Suppression | None = None
    int8: str = "none"

    def __init__(self, cfg: Cfg, class_names: Sequence[str]) -> None:
        self.cfg = cfg
        self.class_names = tuple(class_names)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, 'class 0', 'class 1'... where they are unknown."""
        return self.class_names or tuple(f"class {k}" for k in range(self.cfg.n_classes))

    @abstractmethod
    def run(self, images: Array) -> list[Array]:
        """images float32 [B, C, H, W], RGB, 0..1 -> float32, as `answer` says:

        'raw': the raw map of each head. 'boxes': boxes_xyxy [B, N, 4] in pixels of the input, and
        scores [B, N, classes]. 'detections': rows [M, 7] of image in the batch, x1, y1, x2, y2,
        score, class id, whatever their order.
        """


class NetworkSession(Session):
    """Runs a network that is there already, as it is, on the CPU or wherever it lives."""

    runtime = "torch"

    def __init__(self, network: Network, class_names: Sequence[str] = ()) -> None:
        super().__init__(network.cfg, class_names)
        self.network = network

    def run(self, images: Array) -> list[Array]:
        with torch.inference_mode():
            device = next(self.network.parameters()).device
            x = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
            return [raw.float().contiguous().cpu().numpy() for raw in self.network(x)]


class TorchSession(NetworkSession):
    """Runs a bundle in torch on the CPU: BatchNorm folded, channels_last.

    threads: while it runs. tile: of the sections that run by Winograd's algorithms, see `winograd`;
    None for none.
    """

    def __init__(self, bundle: Bundle, threads: int, tile: TileChoice | None = None) -> None:
        folded = fold_batchnorm(bundle)
        network = network_of(folded.cfg, folded.weights, folded.precision)
        if tile is not None:
            with torch_threads(threads):
                network = winograd(network, tile)
        super().__init__(network.channels_last(), bundle.class_names)
        self.threads = threads

    def run(self, images: Array) -> list[Array]:
        with torch_threads(self.threads):
            return super().run(images)


class OnnxSession(Session):
    """Runs an ONNX file that this package wrote, in ONNX Runtime on the CPU."""

    runtime = "onnxruntime"

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Idle threads must not spin: a second session in the process would read up to 3x slower.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own types, all of them for bad files
            # '[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from ...': the end is enough.
            reason = str(error).splitlines()[0].split(" : ")[-1][:200]
            raise InputError(
                f"{path}: ONNX Runtime cannot load it ({reason}): export it again"
            ) from None
        metadata = self.session.get_modelmeta().custom_metadata_map
        super().__init__(*from_metadata(metadata, path.name))
        self.answer, self.suppression = answer_of(metadata, path.name)
        self.int8 = int8_of(metadata)
        found = tuple(output.name for output in self.session.get_outputs())
        if found != (expected := output_names(self.cfg, self.answer)):
            raise InputError(f"{path.name} gives {', '.join(found)}; its metadata promise "
                             f"{', '.join(expected)}: export it again")  # fmt: skip
        self.batch = self.session.get_inputs()[0].shape[0]

    def run(self, images: Array) -> list[Array]:
        if self.batch == 1 and len(images) > 1:  # the file is made for one image at a time
            parts = [self.run(images[i : i + 1]) for i in range(len(images))]
            if self.answer == "detections":
                for number, (rows,) in enumerate(parts):
                    rows[:, 0] = number
            return [np.concatenate(tensors) for tensors in zip(*parts, strict=True)]
        given: list[Array] = self.session.run(None, {IMAGE_NAME: images})
        return given


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """torch computes with so many threads inside, and with as many as before afterwards: the number
    is one for the process, in which a training may follow."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Loader processes beside the training: none where the cores are two, they would only wait."""
    return 0 if default_threads() <= 2 else min(8, default_threads() - 1)
