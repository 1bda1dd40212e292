"""The engines by name: what each makes of a bundle, and which files it opens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.export.ncnn_model import export_ncnn
from yolo_slim.export.onnx_model import cpu_profile, export_onnx
from yolo_slim.optional import require
from yolo_slim.pipeline.darknet_pair import extensions, write_darknet_pair
from yolo_slim.runtime.ncnn import NcnnSession
from yolo_slim.runtime.opencv import OpencvSession
from yolo_slim.runtime.opencv_reads import misread
from yolo_slim.runtime.openvino import OpenvinoSession
from yolo_slim.runtime.session import OnnxSession, Session, TorchSession
from yolo_slim.runtime.tensorrt import TensorRTSession
from yolo_slim.trt.engine_file import ENGINE_SUFFIX

Opener = Callable[[], Session]
OpenFile = Callable[[Path, int], Session]
"""(path, threads) -> a session over a file that this package wrote."""


@dataclass(frozen=True)
class Runtime:
    """An engine.

    of_bundle: (bundle, folder for files that it needs, threads) -> opens a session over it.
    of_file: how it opens an exported file, by its suffix.
    packages: that it imports; an extra with the name of the first installs them.
    winograd: whether it convolves 3x3 by Winograd's algorithms on its own; sources are in
    docs/mathematical-operations.md.
    """

    of_bundle: Callable[[Bundle, Path, int], Opener]
    of_file: Mapping[str, OpenFile] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    winograd: str = "no on x86"

    def require_installed(self) -> None:
        """Raises InputError, with the extra to install, for an engine that is not there."""
        for package in self.packages:
            require(package, self.packages[0])


def _torch(bundle: Bundle, folder: Path, threads: int) -> Opener:
    return partial(TorchSession, bundle, threads)


def _by_onnx(open_file: OpenFile, bundle: Bundle, folder: Path, threads: int) -> Opener:
    path = Path(tempfile.mkdtemp(dir=folder)) / "model.onnx"
    export_onnx(bundle, path, int8=cpu_profile(bundle))
    return partial(open_file, path, threads)


def _opencv(bundle: Bundle, folder: Path, threads: int) -> Opener:
    if bundle.precision is not None:
        raise InputError(
            f"{bundle.cfg.source}: opencv runs Darknet pairs, which have no INT8: take the float "
            "bundle, or another runtime"
        )
    unread = extensions(bundle.cfg) or misread(bundle.cfg)
    if unread:
        more = f" (and {len(unread) - 1} more places)" if len(unread) > 1 else ""
        raise InputError(
            f"{unread[0]}{more}: OpenCV does not read it as Darknet does; take another runtime"
        )
    stem = Path(tempfile.mkdtemp(dir=folder)) / "model"
    pair = write_darknet_pair(bundle, stem, reader="opencv")
    return partial(OpencvSession, pair, bundle.cfg, bundle.class_names, threads)


def _ncnn(bundle: Bundle, folder: Path, threads: int) -> Opener:
    files = export_ncnn(bundle, Path(tempfile.mkdtemp(dir=folder)))
    opener = partial(NcnnSession, files, bundle.cfg, bundle.class_names, threads)
    # A converter that is not ours may misread a network without a word: an image tells.
    shape = (1, bundle.cfg.net.channels, *bundle.cfg.input_hw)
    image = np.random.default_rng(0).random(shape, np.float32)
    ours, theirs = TorchSession(bundle, threads).run(image), opener(float32=True).run(image)
    for a, b in zip(ours, theirs, strict=True):
        if not np.abs(a - b).max() <= 1e-3 * np.abs(a).max():
            raise InputError(
                f"{bundle.cfg.source}: pnnx makes another network of it, whose maps for ncnn are "
                "not those of torch: take another runtime"
            )
    return opener


def _tensorrt(bundle: Bundle, folder: Path, threads: int) -> Opener:
    raise InputError(
        f"tensorrt runs engines, and {bundle.cfg.source} is none: write one with `yolo-slim "
        f"export_trt MODEL --out FILE{ENGINE_SUFFIX}`"
    )


def _open_engine(path: Path, threads: int) -> Session:
    return TensorRTSession(path)


_F32 = partial(OpenvinoSession, float32=True)

RUNTIMES: dict[str, Runtime] = {
    "torch": Runtime(_torch),
    "onnxruntime": Runtime(partial(_by_onnx, OnnxSession), {".onnx": OnnxSession}, winograd="no"),
    "openvino": Runtime(
        partial(_by_onnx, OpenvinoSession),
        {".onnx": OpenvinoSession, ".xml": OpenvinoSession},
        ("openvino",),
    ),
    "openvino-f32": Runtime(partial(_by_onnx, _F32), {".onnx": _F32, ".xml": _F32}, ("openvino",)),
    "opencv": Runtime(_opencv, winograd="F6"),
    "ncnn": Runtime(_ncnn, packages=("ncnn", "pnnx"), winograd="F2, F4, F6"),
    "tensorrt": Runtime(_tensorrt, {ENGINE_SUFFIX: _open_engine}, winograd="as its tactics choose"),
}

FILES = {".onnx": "an ONNX file", ".xml": "an OpenVINO file", ENGINE_SUFFIX: "an engine"}
"""What the files that engines open are called."""


def find_runtime(name: str) -> Runtime:
    """Raises InputError for an engine that there is none of."""
    if name not in RUNTIMES:
        raise InputError(f"runtime {name!r} is unknown; choose one of: {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def openers_of(suffix: str) -> list[str]:
    """The engines that open a file of that kind, the usual one first."""
    return [name for name, runtime in RUNTIMES.items() if suffix in runtime.of_file]
