"""Which TensorRT there is, found when it is asked for.

Two packages have one API. `tensorrt` builds on the GPU that it builds for; `tensorrt_rtx`, TensorRT
for RTX, builds ahead of time, on a machine without a GPU, and compiles when an engine is opened.
The API has two generations: 10 (JetPack 6 is on it), and 11, in which a network is always strongly
typed: the number types stand in the graph. TensorRT for RTX has the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, Literal, get_args

import torch

from yolo_slim.errors import InputError
from yolo_slim.optional import require

Flavor = Literal["tensorrt", "rtx"]
FLAVORS: tuple[Flavor, ...] = get_args(Flavor)

_MODULES: dict[Flavor, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_NAMES: dict[Flavor, str] = {"tensorrt": "TensorRT", "rtx": "TensorRT for RTX"}
_OLDEST = 10


@dataclass(frozen=True)
class Api:
    """trt: the imported module."""

    trt: Any
    flavor: Flavor

    @property
    def name(self) -> str:
        return _NAMES[self.flavor]

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def network_flags(self) -> int:
        """What a strongly typed network is made with: a flag in generation 10, nothing later."""
        trt = self.trt
        if self.flavor == "rtx" or _major(self.version) > _OLDEST:
            return 0
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @property
    def compute_capabilities(self) -> tuple[str, ...]:
        """What it can build ahead of time for, as '8.6'; none where it builds for its own GPU."""
        if self.flavor != "rtx":
            return ()
        trt = self.trt
        members = trt.ComputeCapability.__members__
        digits = [name.removeprefix("SM") for name in members if name.startswith("SM")]
        return tuple(f"{number[:-1]}.{number[-1]}" for number in digits)


def load_api(flavor: Flavor) -> Api:
    """Raises InputError, with what to install, where the package is missing or too old."""
    try:
        api = Api(require(_MODULES[flavor], flavor), flavor)
        version = api.version
    except (OSError, AttributeError) as error:  # a library of its own that is not there, or other
        told = " ".join(str(error).split())[:160]
        raise InputError(
            f"{_NAMES[flavor]} is installed and cannot be used ({told}); pip install "
            f'--force-reinstall "yolo-slim[{flavor}]"'
        ) from None
    if flavor == "tensorrt" and _major(version) < _OLDEST:
        raise InputError(f"TensorRT {version} is too old: expected {_OLDEST} or newer")
    return api


def require_gpu(wanted: str, advice: str) -> None:
    """Raises InputError where there is no GPU that torch can use. wanted: what needs one."""
    if not torch.cuda.is_available():
        raise InputError(f"{wanted} needs an NVIDIA GPU, and torch finds none here: {advice}")


def gpu_capability() -> str:
    """Compute capability of this machine's GPU, as '8.6'."""
    major, minor = torch.cuda.get_device_capability()
    return f"{major}.{minor}"


@cache
def log_of(trt: Any) -> Any:
    """The logger of a package. There is one for the process: TensorRT keeps the first it is given.

    It prints nothing; `errors` holds what was told since the last `clear()`.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lock, self.errors = Lock(), list[str]()

        def log(self, severity: Any, msg: str) -> None:
            """Called from threads of TensorRT's own, too."""
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                with self.lock:
                    self.errors.append(msg)

        def clear(self) -> None:
            with self.lock:
                self.errors.clear()

    return Log()


def _major(version: str) -> int:
    first = version.split(".")[0]
    return int(first) if first.isdigit() else 0
