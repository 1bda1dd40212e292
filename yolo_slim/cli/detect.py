"""yolo-slim detect"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from yolo_slim.cli.options import (
    Conf,
    NamesFile,
    Nms,
    OutFolder,
    Resize,
    RunnableModel,
    Runtime,
    Size,
    Threads,
    WeightsFile,
    console,
    progress,
)
from yolo_slim.data.image import read_image
from yolo_slim.pipeline.models import ModelSource, open_session
from yolo_slim.runtime.detector import Detector
from yolo_slim.video.draw import draw
from yolo_slim.video.records import record_file
from yolo_slim.video.sink import Sink
from yolo_slim.video.source import frames


def detect(
    model: RunnableModel,
    source: Annotated[
        list[str], typer.Argument(help="Pictures, folders, videos, a camera number, a stream.")
    ],
    out: OutFolder,
    weights: WeightsFile = None,
    names: NamesFile = None,
    runtime: Runtime = None,
    size: Size = None,
    resize: Resize = None,
    conf: Conf = 0.25,
    nms: Nms = 0.45,
    threads: Threads = None,
) -> None:
    """Draw what the model finds; boxes also go to OUT/detections.jsonl."""
    with open_session(ModelSource(model, weights, names, size), runtime, threads) as session:
        class_names = session.names
        detector = Detector(session, conf, nms, resize_mode=resize)
        streams = [frames(s, _read_upright) for s in source]
        n_frames = n_boxes = 0
        times_ms: list[float] = []
        with Sink(out) as sink, record_file(out / "detections.jsonl", class_names) as record:
            for name, stream in zip(source, streams, strict=True):
                with progress(f"detect {Path(name).name}") as advance:
                    for frame in stream:
                        started = time.perf_counter()
                        found = detector([frame.image_bgr])[0]
                        times_ms.append((time.perf_counter() - started) * 1e3)
                        sink.write(frame, draw(frame.image_bgr, found, class_names))
                        record(frame, found)
                        n_frames += 1
                        n_boxes += len(found)
                        total = frame.video.n_frames if frame.video else None
                        advance(frame.index + 1, total or frame.index + 1)
    for path in sink.written:
        console.print(str(path), highlight=False)
    middle = float(np.median(times_ms)) if times_ms else 0.0
    console.print(
        f"{n_boxes} objects in {n_frames} frames; {middle:.1f} ms a frame (median, in "
        f"{session.runtime}, with resizing and suppression)",
        highlight=False,
    )


def _read_upright(path: Path) -> np.ndarray:
    """A person's picture is looked at as its camera was held."""
    return read_image(path, upright=True)
