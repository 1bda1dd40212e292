"""yolo-slim detect"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from yolo_slim.cli.options import (
    Conf,
    JsonFile,
    NamesFile,
    Nms,
    OutFolder,
    Resize,
    RunnableModel,
    Runtime,
    Size,
    Threads,
    WeightsFile,
    Winograd,
    console,
    progress,
    tell_session,
    tile_choice,
    write_json,
)
from yolo_slim.cli.targets import check_file, require_kept
from yolo_slim.console import note, warn
from yolo_slim.data.image import read_image
from yolo_slim.errors import DataError, Interrupted, RunError
from yolo_slim.pipeline.models import ModelSource, open_session
from yolo_slim.runtime.detector import Detector
from yolo_slim.video.draw import draw
from yolo_slim.video.names import FreeNames
from yolo_slim.video.records import record_file, require_records
from yolo_slim.video.sink import Sink, picture_name, require_own, video_name
from yolo_slim.video.source import Source, find_source, frames, public_address
from yolo_slim.video.tally import Tally

ALL_BUT_ROUNDING = 0.99
"""Some containers tell their length in seconds alone: a frame more or less is no damage."""


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
    winograd: Winograd = None,
    json: JsonFile = None,
) -> None:
    """Draw what the model finds; boxes also go to OUT/detections.jsonl."""
    model_source = ModelSource(model, weights, names, size)
    records = out / "detections.jsonl"
    sources = [find_source(address) for address in source]
    drawn = _drawn(sources, out)
    read = [*(path for found in sources for path in found.files), *model_source.files]
    require_kept([*drawn, records], read)
    check_file(json, [*read, *drawn, records], only_json=True)
    for path in drawn:
        require_own(path)
    require_records(records)
    with open_session(model_source, runtime, threads, tile_choice(winograd)) as session:
        tell_session(session, conf, nms)
        for address, found in zip(source, sources, strict=True):
            if found.n_left_out:
                note(console, f"{public_address(address)}: {found.n_left_out} files and folders "
                     "that are no pictures are left out; videos are named one by one")  # fmt: skip
        class_names = session.names
        detector = Detector(session, conf, nms, resize_mode=resize)
        broken: list[DataError] = []
        tally = Tally()
        n_boxes = 0
        times_ms: list[float] = []
        stopped = False
        with Sink(out) as sink, record_file(records, class_names) as record:
            try:
                for address, found in zip(source, sources, strict=True):
                    stream = frames(found, _read_upright, broken.append)
                    name = Path(public_address(address)).name
                    with progress(f"detect {name}") as advance:
                        n_read, promised = 0, None
                        for frame in tally.watch(stream):
                            started = time.perf_counter()
                            seen = detector([frame.image_bgr])[0]
                            took_ms = (time.perf_counter() - started) * 1e3
                            file = sink.write(frame, draw(frame.image_bgr, seen, class_names))
                            tally.add(frame, record(frame, seen, file))
                            times_ms.append(took_ms)
                            n_boxes += len(seen)
                            n_read = frame.index + 1
                            promised = frame.video.n_frames if frame.video else None
                            advance(n_read, promised or max(n_read, len(found.files)))
                    if n_read < ALL_BUT_ROUNDING * (promised or 0):
                        warn(console, f"{name} ends early: {n_read} of {promised} frames decoded")
            except KeyboardInterrupt:  # a camera has no other end: what there is, is kept
                stopped = True
            if broken and not times_ms:
                raise broken[0]
    for path in sink.written:
        console.print(str(path))
    timed = times_ms[1:] or times_ms  # the first prepares what the others find ready
    middle = float(np.median(timed)) if timed else 0.0
    what = "median" if len(timed) < len(times_ms) else "the only one: later ones take less"
    console.print(
        f"{n_boxes} objects in {len(times_ms)} frames; {middle:.1f} ms a frame ({what}, in "
        f"{session.runtime}, with resizing and suppression)"
    )
    write_json(json, {
        "model": model, "runtime": session.runtime, "written": [str(p) for p in sink.written],
        "frames": len(times_ms), "objects": n_boxes, "ms_a_frame": middle,
        "pictures": tally.pictures, "videos": tally.videos,
        "passed_over": [str(error) for error in broken],
    })  # fmt: skip
    for error in broken:
        console.print(f"passed over: {error}")
    if stopped:
        raise Interrupted(f"stopped after {len(times_ms)} frames; {out} holds what was found")
    if broken:
        raise RunError(f"{len(broken)} of {len(drawn)} files could not be read; see above")


def _drawn(sources: list[Source], out: Path) -> list[Path]:
    """The files that a sink will write, as far as all can be read."""
    free = FreeNames()
    return [
        out / free((picture_name if found.address is None else video_name)(name))
        for found in sources
        for name in found.names
    ]


def _read_upright(path: Path) -> np.ndarray:
    """A person's picture is looked at as its camera was held."""
    return read_image(path, upright=True)
