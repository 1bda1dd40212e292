"""yolo-slim evaluate"""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from yolo_slim.cli.options import (
    Annotations,
    Conf,
    Data,
    Images,
    JsonFile,
    NamesFile,
    Nms,
    Resize,
    RunnableModel,
    Runtime,
    Size,
    Threads,
    WeightsFile,
    Winograd,
    console,
    dataset,
    progress,
    tell_notes,
    tell_session,
    tile_choice,
    write_json,
)
from yolo_slim.cli.targets import check_file
from yolo_slim.cli.train_classifier import refuse_for_classifiers
from yolo_slim.errors import InputError
from yolo_slim.nn.winograd.network import TileChoice
from yolo_slim.nn.winograd.network import winograd as run_by_tiles
from yolo_slim.pipeline.classifying import (
    read_splits,
    require_classifier,
    require_logits,
    top_scorer,
)
from yolo_slim.pipeline.models import ModelSource, load_model, open_session
from yolo_slim.pipeline.same_classes import require_same_names
from yolo_slim.pipeline.scoring import require_boxes, score
from yolo_slim.runtime.detector import Detector
from yolo_slim.weights import network_of

ROWS = {
    "AP  0.50:0.95": ("AP", "APs", "APm", "APl"),
    "AP  0.50": ("AP50", "", "", ""),
    "AP  0.75": ("AP75", "", "", ""),
    "AR  best 1": ("AR1", "", "", ""),
    "AR  best 10": ("AR10", "", "", ""),
    "AR  best 100": ("AR100", "ARs", "ARm", "ARl"),
}


DEFAULT_CONF, DEFAULT_NMS = 0.005, 0.45


def evaluate(
    model: RunnableModel,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    runtime: Runtime = None,
    size: Size = None,
    resize: Resize = None,
    conf: Conf = DEFAULT_CONF,
    nms: Nms = DEFAULT_NMS,
    threads: Threads = None,
    winograd: Winograd = None,
    json: JsonFile = None,
) -> None:
    """The 12 COCO numbers of a model on a data set, in the runtime that it will be deployed in.

    Of a classifier, on a folder --data DIR as for `train`: the share of right answers, in torch.
    """
    source = ModelSource(model, weights, names, size)
    check_file(json, [*source.files, data, annotations], only_json=True)
    if data is not None and data.is_dir():
        if runtime not in (None, "torch"):
            raise InputError(f"--runtime {runtime}: a classifier is scored in torch alone")
        refuse_for_classifiers(
            images=images, annotations=annotations, resize=resize, threads=threads,
            conf=None if conf == DEFAULT_CONF else conf, nms=None if nms == DEFAULT_NMS else nms,
        )  # fmt: skip
        _evaluate_classifier(source, data, tile_choice(winograd), json)
        return
    with open_session(source, runtime, threads, tile_choice(winograd)) as session:
        tell_session(session, conf, nms)
        val_data = dataset(data, images, annotations, "val", session.class_names)
        require_boxes(val_data)
        detector = Detector(session, conf, nms, resize_mode=resize)
        with progress("evaluate") as advance:
            numbers = score(detector, val_data, advance)
        told = {"model": model, "runtime": session.runtime, "images": len(val_data.samples)}
    table = Table(title=f"{Path(model).name} in {told['runtime']}, {told['images']} images")
    for title in ("", "all", "small", "medium", "large"):
        table.add_column(title, justify="right")
    for title, keys in ROWS.items():
        table.add_row(title, *(_cell(numbers[key]) if key else "" for key in keys))
    console.print(table)
    write_json(json, {**told, **numbers})


def _evaluate_classifier(
    source: ModelSource, data: Path, tile: TileChoice | None, json: Path | None
) -> None:
    bundle = load_model(source)
    require_classifier(bundle.cfg, source.model, data)
    tell_notes(bundle.cfg)
    training, validation = read_splits(data)
    folders = validation or training
    require_logits(bundle.cfg, folders)
    require_same_names(source.model, bundle.class_names, folders.class_names,
                       "score it on pictures of its own classes")  # fmt: skip
    network = network_of(bundle.cfg, bundle.weights, bundle.precision)
    if tile is not None:
        network = run_by_tiles(network, tile)
    numbers = top_scorer(bundle.cfg, folders)(network)
    console.print(f"{len(folders.paths)} pictures of {folders.source}: right at the first answer "
                  f"{numbers['top1']:.1%}, among the first five {numbers['top5']:.1%}")  # fmt: skip
    told = {"model": source.model, "runtime": "torch", "images": len(folders.paths)}
    write_json(json, {**told, **numbers})


def _cell(number: float) -> str:
    """COCO's -1 stands for sizes that the data set does not have."""
    return "-" if number < 0 else f"{number:.4f}"
