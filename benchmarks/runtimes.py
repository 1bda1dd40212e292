"""One network in every engine, float and INT8: latency, and what ONNX Runtime does in integers.

    python benchmarks/runtimes.py [--size 416] [--rounds 9] [--seconds 1] [--out FILE] [NAME ...]

Random weights, one image, all cores. Each session lives in a process of its own; they are timed in
alternation, so that slow moments of a machine hit all, and `ratio` is the median over the rounds of
the ratio to ONNX Runtime's float32 in the same round. INT8 by our own plan (in ONNX Runtime and in
OpenVINO), by NNCF as export_openvino asks it, by NNCF as it comes, and by quantize_static of ONNX
Runtime as it comes: unsigned activations, signed kernels. `integer_macs`: the share of all MACs in
integer convolutions of the graph that ONNX Runtime has optimised. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from measured import write_rows
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Cfg, measure
from yolo_slim.errors import InputError
from yolo_slim.export.nncf import Calibration
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.openvino_model import export_openvino
from yolo_slim.metadata import IMAGE_NAME
from yolo_slim.openvino_graph import openvino_module
from yolo_slim.pipeline.runtimes import Opener, find_runtime
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.plan import int8_convs
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.openvino import OpenvinoSession
from yolo_slim.runtime.session import OnnxSession, default_threads
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

NAMES = ("yolov3", "yolov3-tiny", "yolov3-mobilenetv2")
N_IMAGES = 16
"""Noise to calibrate on: speed does not depend on what is found there."""

FLOAT, OURS, STOCK = "float.onnx", "ours.onnx", "stock.onnx"
INTEGER = ("QLinearConv", "ConvInteger")


@dataclass(frozen=True)
class Arm:
    """An engine, the numbers that it computes in, whose INT8 it is, and the file it runs; a bundle
    where there is none."""

    runtime: str
    precision: str
    int8_by: str = ""
    file: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.runtime, self.precision, self.int8_by)))

    def opener(self, folder: Path) -> Opener:
        threads = default_threads()
        if not self.file:
            made = Path(tempfile.mkdtemp(dir=folder))
            return find_runtime(self.runtime).of_bundle(
                load_bundle(folder / "bundle"), made, threads
            )
        open_file = OnnxSession if self.runtime == "onnxruntime" else OpenvinoSession
        return lambda: open_file(folder / self.file, threads)


BASE = Arm("onnxruntime", "float32", file=FLOAT)
ARMS = (
    BASE,
    Arm("torch", "float32"),
    Arm("openvino-f32", "float32"),
    Arm("openvino", "its choice"),
    Arm("opencv", "float32"),
    Arm("ncnn", "its choice"),
    Arm("onnxruntime", "INT8", "yolo_slim", OURS),
    Arm("onnxruntime", "INT8", "quantize_static", STOCK),
    Arm("openvino", "INT8", "yolo_slim", OURS),
    Arm("openvino", "INT8", "yolo_slim with NNCF", "ours.xml"),
    Arm("openvino", "INT8", "NNCF", "stock.xml"),
)


class Reader(CalibrationDataReader):
    """Images as quantize_static asks for them."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {IMAGE_NAME: image}


def write_files(cfg: Cfg, folder: Path) -> None:
    """All that the arms run."""
    bundle = Bundle(cfg, random_weights(cfg))
    bundle.save(folder / "bundle")
    export_onnx(bundle, folder / FLOAT)
    shape = (1, cfg.net.channels, *cfg.input_hw)
    draw = np.random.default_rng(0)
    images = [draw.random(shape, np.float32) for _ in range(N_IMAGES)]
    export_onnx(quantize(bundle, map(torch.from_numpy, images)), folder / OURS, "cpu")
    quant_pre_process(str(folder / FLOAT), str(folder / "prepared.onnx"))
    quantize_static(
        str(folder / "prepared.onnx"), str(folder / STOCK), Reader(images), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    export_openvino(
        bundle, folder / "ours.xml", Calibration(lambda: images, N_IMAGES, int8_convs(cfg))
    )
    openvino, nncf = openvino_module(), openvino_module("nncf")
    stock = nncf.quantize(openvino.convert_model(folder / FLOAT), nncf.Dataset(images))
    openvino.save_model(stock, folder / "stock.xml")


def integer_macs(path: Path, cfg: Cfg) -> float:
    """Share of the MACs that ONNX Runtime computes in integers; its nodes begin with the number of
    their section."""
    optimised = path.with_suffix(".optimised.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(optimised, load_external_data=False).graph.node
    integer = {int(n.name.split(".")[0]) for n in nodes if n.op_type in INTEGER}
    macs = {cost.index: cost.macs for cost in measure(cfg)}
    return sum(macs[index] for index in integer) / sum(macs.values())


def serve(arm: Arm, folder: Path, line: Connection) -> None:
    """Opens the arm's session and times it for as many seconds as is asked, until None is."""
    try:
        session = arm.opener(folder)()
    except InputError as error:
        line.send(str(error))
        return
    line.send(None)
    while (seconds := line.recv()) is not None:
        line.send(measure_latency({arm: lambda: session}, 1, seconds)[arm].median_ms)


@contextmanager
def timer(arm: Arm, folder: Path) -> Iterator[Callable[[float], float]]:
    """A function of seconds that gives the median milliseconds of an image in them.

    Raises InputError where the engine cannot run the network.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(arm, folder, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the line

    def ask(seconds: float) -> float:
        ours.send(seconds)
        return float(ours.recv())

    try:
        if (fault := ours.recv()) is not None:
            raise InputError(fault)
        yield ask
        ours.send(None)
    finally:
        process.join(10)
        process.kill()


def rows(name: str, size_px: int, rounds: int, seconds: float) -> Iterable[dict[str, object]]:
    cfg = build(name, size_px=size_px)
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        write_files(cfg, folder)
        timers = {}
        for arm in ARMS:
            if arm.runtime == "ncnn" and not (find_spec("ncnn") and find_spec("pnnx")):
                continue
            try:
                timers[arm] = stack.enter_context(timer(arm, folder))
            except InputError as error:
                print(f"{name}: no {arm}: {error}", flush=True)
        times_ms: dict[Arm, list[float]] = {arm: [] for arm in timers}
        for _ in range(rounds):
            for arm, ask in timers.items():
                times_ms[arm].append(ask(seconds))
        for arm, found in times_ms.items():
            ratios = [ms / base for ms, base in zip(found, times_ms[BASE], strict=True)]
            in_ort = arm.runtime == "onnxruntime"
            yield {
                "model": name, "size_px": size_px, "runtime": arm.runtime,
                "precision": arm.precision, "int8_by": arm.int8_by,
                "latency_ms": round(statistics.median(found), 3),
                "best_ms": round(min(found), 3), "ratio": round(statistics.median(ratios), 3),
                "integer_macs": round(integer_macs(folder / arm.file, cfg), 4) if in_ort else "",
                "rounds": rounds,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("runtimes.csv"))
    asked = parser.parse_args()
    versions = {"openvino": version("openvino"), "nncf": version("nncf"),
                "opencv": cv2.__version__}  # fmt: skip
    found: list[dict[str, object]] = []
    for name in asked.names:
        for row in rows(name, asked.size, asked.rounds, asked.seconds):
            found.append({**row, **versions})
            print(" ".join(str(value) for value in row.values()), flush=True)
        write_rows(asked.out, found)


if __name__ == "__main__":
    main()
