"""Arguments that several verbs share, and what is made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.cli.json_target import require_json_target
from yolo_slim.console import note, plain_console, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import read_dataset
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.nn.winograd.convolution import TILES
from yolo_slim.nn.winograd.network import TileChoice
from yolo_slim.pipeline.runtimes import RUNTIMES
from yolo_slim.pretrained import import_backbone
from yolo_slim.processes import is_first_process
from yolo_slim.progress import advancing
from yolo_slim.runtime.cpu import has_vnni
from yolo_slim.runtime.session import Session
from yolo_slim.train.settings import MAX_SEED

Model = Annotated[
    str, typer.Argument(help="Bundle folder, run folder, .cfg (with --weights) or zoo name.")
]
RunnableModel = Annotated[
    str,
    typer.Argument(
        help="Bundle or run folder, .cfg (with --weights), zoo name, .onnx, .xml or .engine."
    ),
]
WeightsFile = Annotated[
    Path | None, typer.Option("--weights", help="Darknet .weights file of a .cfg.")
]
BackboneSource = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights",
        help="The first sections' numbers: a file like darknet53.conv.74; a bundle folder; a .pth "
        "or .safetensors of torchvision or timm; or 'torchvision' or 'timm' to download it.",
    ),
]
NamesFile = Annotated[Path | None, typer.Option("--names", help="Class names, one a line.")]
Size = Annotated[
    int | None, typer.Option("--size", min=32, max=8192, help="Input size in px; else the cfg's.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="A .yaml description, Ultralytics's data.yaml or Darknet's .data."),
]
Images = Annotated[
    Path | None, typer.Option("--images", help="Folder of images, in place of --data.")
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations", help="Of --images: COCO JSON, or a folder of VOC, labelme or YOLO files."
    ),
]
Runtime = Annotated[
    str | None,
    typer.Option("--runtime", help=f"{', '.join(RUNTIMES)}; else what suits the model."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads; else all cores.")
]
Winograd = Annotated[
    Literal["2", "4", "6", "auto"] | None,
    typer.Option(
        "--winograd",
        help="In torch: 3x3 convolutions by Winograd's algorithms, by tiles of so many px a side; "
        "auto takes the fastest of 2, 4 and none for each.",
    ),
]
Conf = Annotated[float, typer.Option("--conf", min=0, max=1, help="Least score of a detection.")]
Nms = Annotated[float, typer.Option("--nms", min=0, max=1, help="IoU above which boxes compete.")]
Resize = Annotated[
    Literal["letterbox", "stretch"] | None,
    typer.Option("--resize", help="How images become inputs; else what the cfg says."),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MAX_SEED, help="Of all that is drawn at random.")
]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result here, too.")]

console = plain_console()
console.quiet = not is_first_process()


def dataset(
    data: Path | None,
    images: Path | None,
    annotations: Path | None,
    split: str,
    names: Sequence[str] = (),
) -> Dataset:
    """The data set that was named; its notes are printed.

    names: of the classes, for a pair whose annotations do not number them.
    """
    if data is None and images is None and annotations is None:
        raise InputError("no data: name --data FILE, or --images DIR with --annotations FILE")
    with progress("reading annotations") as advance:
        found = read_dataset(data, images, annotations, split, names=names, progress=advance)
    for text in found.notes:
        note(console, f"{found.source}: {text}")
    return found


def with_backbone(bundle: Bundle, source: str | None) -> Bundle:
    """The bundle with a backbone's numbers, where some were named; what was read is printed."""
    if source is None:
        return bundle
    imported = import_backbone(bundle, source)
    console.print(f"{source}: {imported}")
    return imported.bundle


def tell_notes(cfg: Cfg) -> None:
    """Prints what a cfg's reader should know about the file."""
    for text in cfg.notes:
        note(console, text)


def tell_session(session: Session, conf: float, nms: float) -> None:
    """Prints what is worth knowing of the cfg, whether the CPU is the one that the file was made
    for, and where a file that suppresses by itself cannot do what --conf and --nms ask for."""
    tell_notes(session.cfg)
    if session.runtime == "onnxruntime" and session.int8 == "cpu-vnni" and not has_vnni():
        warn(
            console,
            "the file is made for CPUs with VNNI, and this one has none: sums can overflow and "
            "boxes be wrong; `export_onnx --int8 cpu` makes one for any CPU",
        )
    rules = session.suppression
    if rules is None:
        return
    unheard = [f"--conf {conf:g}"] if conf < rules.conf else []
    unheard += [f"--nms {nms:g}"] if nms != rules.nms_iou else []
    if unheard:
        note(
            console,
            f"{session.cfg.source} suppresses by itself: scores above {rules.conf:g}, IoU above "
            f"{rules.nms_iou:g}, {rules.max_detections} an image; {' and '.join(unheard)} cannot "
            "change that",
        )


def tile_choice(text: str | None) -> TileChoice | None:
    """What was typed at --winograd."""
    return "auto" if text == "auto" else next((tile for tile in TILES if str(tile) == text), None)


def write_json(path: Path | None, document: Any) -> None:
    """Writes the machine-readable result, where one was asked for; not over what the command has
    made itself meanwhile. JSON knows no NaN and no infinity: they become null."""
    if path is not None:
        require_json_target(path)
        text = json.dumps(_finite(document), indent=1, allow_nan=False)
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def progress(text: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar on the terminal; gives advance(done, total)."""
    return advancing(text, console)
