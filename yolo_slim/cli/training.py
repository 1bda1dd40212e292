"""A training as it was typed, from looking at what it would replace to the bundle it ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, is_bundle
from yolo_slim.cfg import with_anchors, with_iou_thresh
from yolo_slim.cli.options import (
    console,
    dataset,
    progress,
    tell_notes,
    with_backbone,
    write_json,
)
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.cli.train_classifier import refuse_for_classifiers, top_numbers_told, train_labelled
from yolo_slim.cli.train_request import Request
from yolo_slim.console import note, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet
from yolo_slim.data.unlabelled import read_unlabelled, with_unlabelled
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.in_use import in_use
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.batch_picture import write_batch_picture
from yolo_slim.pipeline.detecting import DetectorData, train_detector
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.other_classes import for_classes, is_for
from yolo_slim.pipeline.reach import with_reach
from yolo_slim.pipeline.same_classes import numbered_as, require_same_answers
from yolo_slim.pipeline.scoring import require_boxes, score_bundle
from yolo_slim.pipeline.teaching import require_cacheable
from yolo_slim.pipeline.training import augmentation_of, calm_from, require_calm, settings_of
from yolo_slim.pipeline.training_document import training_document
from yolo_slim.processes import is_first_process
from yolo_slim.zoo import names as zoo_names


def run_training(asked: Request) -> None:
    """Trains a detector, or a classifier where the data are labelled folders."""
    _require_free(asked)
    source = ModelSource(asked.model, asked.weights, asked.names, size_px=asked.size)
    # A resumed training goes on from its checkpoint: its own bundle may be named.
    sources = [] if asked.resume else source.files
    if asked.teacher is not None:
        sources = [*sources, *ModelSource(asked.teacher).files]
    check_bundle(asked.out / BUNDLE_IN_RUN, sources)
    check_file(asked.show_batch, sources)
    beside = [asked.data, asked.annotations, asked.show_batch]
    check_file(asked.json, [*sources, *beside], only_json=True)
    if asked.json is not None and asked.profile_steps:
        raise InputError("--profile-steps trains nothing that --json could tell: leave one out")
    if asked.data is not None and asked.data.is_dir():
        _train_classifier(asked, source, asked.data)
    else:
        _train_detector(asked, source)


def _require_free(asked: Request) -> None:
    """Raises InputError where a training would be lost, or there is none to go on with."""
    out = asked.out
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected the name of a folder to make")
    if is_bundle(out):
        raise InputError(f"{out} is a bundle, and a run has one in it: choose another --out")
    if asked.begun and not asked.resume and is_first_process():
        raise InputError(
            f"{out} holds a training already: --resume goes on, or choose another --out"
        )
    separate = asked.lessons.method == "separate"
    if asked.resume and asked.begun and asked.first_checkpoint.exists() != separate:
        begun = "without" if separate else "with"
        raise InputError(f"{out} was begun {begun} --method separate: give the same")
    if asked.resume and not asked.begun:
        raise InputError(f"{out} holds no checkpoint to resume from; leave out --resume")


def _train_classifier(asked: Request, source: ModelSource, data: Path) -> None:
    refuse_for_classifiers(
        mosaic=asked.pictures["mosaic_p"], mixup=asked.pictures["mixup_p"],
        copy_paste=asked.pictures["copy_paste_p"], zoom=asked.pictures["scale"],
        shift=asked.pictures["shift"], close_mosaic=asked.close_mosaic,
        multi_scale=asked.settings["multi_scale"], show_batch=asked.show_batch,
        cache=_unless(asked.cache, "auto"), box_loss=asked.loss["box"],
        box_weight=asked.loss["box_weight"], objectness=asked.loss["objectness"],
        focal_gamma=asked.loss["focal_gamma"], iou_thresh=asked.iou_thresh,
        cells=_unless(asked.cells, "own"), anchors=_unless(asked.anchors, "keep"),
        names=asked.names, images=asked.images, annotations=asked.annotations,
        unlabelled=asked.unlabelled,
    )  # fmt: skip
    with _telling_how_to_go_on(asked):
        trained = train_labelled(
            source, asked.backbone_weights, data, asked.settings, asked.loss, asked.pictures,
            asked.out, asked.resume, _teacher(asked), asked.lessons,
        )  # fmt: skip
    _save(trained, asked, partial(top_numbers_told, trained, data))


def _unless(chosen: str, default: str) -> str | None:
    return None if chosen == default else chosen


def _train_detector(asked: Request, source: ModelSource) -> None:
    require_calm(asked.epochs, asked.close_mosaic)
    train_data = dataset(asked.data, asked.images, asked.annotations, "train")
    require_boxes(train_data)
    val_data = dataset(asked.data, None, None, "val") if asked.data is not None else None
    if val_data is not None:
        require_boxes(val_data)
        names = train_data.class_names
        val_data = numbered_as(val_data, train_data.source, names, len(names))
    if asked.show_batch is not None:
        samples = [*train_data.samples, *(val_data.samples if val_data else ())]
        check_file(asked.show_batch, [asked.data, *(sample.path for sample in samples)])
    bundle = _start(asked, source, train_data)
    settings = settings_of(bundle.cfg, asked.settings, asked.loss)
    teacher = _teacher(asked)
    if teacher is not None and asked.lessons.losses.outputs:
        require_same_answers(teacher, bundle.class_names)
    augmentation = augmentation_of(bundle.cfg, asked.pictures)
    if asked.lessons.cached:
        require_cacheable(augmentation, settings)

    def training_set(data: Dataset) -> TrainingSet:
        cfg = bundle.cfg
        made = TrainingSet(
            data, cfg.input_hw, cfg.resize_mode, augmentation, channels=cfg.net.channels,
            calm_from=calm_from(asked.epochs, asked.close_mosaic), cache=asked.cache,  # type: ignore[arg-type]
            cache_folder=asked.out / "cache", seed=asked.seed,
        )  # fmt: skip
        with progress("reading images") as advance:
            faults = made.warm(advance)
        if faults:
            more = " ..." if len(faults) > 5 else ""
            warn(console, f"{len(faults)} images are left out: {'; '.join(faults[:5])}{more}")
        return made

    labelled = training_set(train_data)
    pictures = _pictures(asked, train_data)
    if asked.show_batch is not None and is_first_process():
        write_batch_picture(
            asked.show_batch, labelled, settings.batch_size, asked.seed, bundle.names
        )
        console.print(f"{asked.show_batch}: the first batch")

    def told(data: Dataset) -> dict[str, Any]:
        return {
            "augmentation": str(augmentation), "data": fingerprint(data),
            "teacher": "none" if teacher is None else fingerprint(teacher),
            "--close-mosaic": asked.close_mosaic, "--iou-thresh": asked.iou_thresh,
        }  # fmt: skip

    learned = DetectorData(
        train_data, pictures, val_data,
        # The same pictures in the same cache where there are no others.
        lambda data: labelled if data is train_data else training_set(data),
    )  # fmt: skip
    with _telling_how_to_go_on(asked):
        trained = train_detector(
            bundle, teacher, asked.lessons, settings, learned, asked.out, label="train",
            resume=asked.resume, console=console, close_mosaic=asked.close_mosaic, told=told,
        )  # fmt: skip
    _save(trained, asked, partial(coco_numbers_told, trained, val_data))


def _pictures(asked: Request, train_data: Dataset) -> Dataset:
    """What features are learned from: the training images, and those without labels."""
    if asked.unlabelled is None:
        return train_data
    with progress("reading pictures") as advance:
        others = read_unlabelled(asked.unlabelled, advance)
    for text in others.notes:
        note(console, f"{others.source}: {text}")
    return with_unlabelled(train_data, others)


def _teacher(asked: Request) -> Bundle | None:
    if asked.teacher is None:
        return None
    return load_model(ModelSource(asked.teacher, size_px=asked.size))


def _start(asked: Request, source: ModelSource, data: Dataset) -> Bundle:
    """What the training begins with: read, or made for the classes of the data."""
    bundle = load_model(source, untrained=True, classes=len(data.class_names))
    is_trained = source.weights is not None or bool(bundle.history)
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, asked.backbone_weights)
    bundle.cfg.require_yolos()
    if not is_for(bundle, data.class_names):
        named = bool(bundle.class_names)
        bundle, told = for_classes(bundle, data.class_names, asked.seed)
        note(console, told)
        if source.weights is not None and not named:
            note(console, "--names FILE tells which classes the weights know already")
    bundle = replace(bundle, class_names=tuple(data.class_names))
    if asked.iou_thresh is not None:
        bundle = replace(bundle, cfg=with_iou_thresh(bundle.cfg, asked.iou_thresh))
    if asked.cells == "neighbours":
        bundle, reaches = with_reach(bundle, is_trained)
        if reaches is not None:
            note(console, reaches)
    if asked.anchors == "fit":
        anchors_wh = fitted_anchors(bundle.cfg, data, asked.seed)
        bundle = replace(bundle, cfg=with_anchors(bundle.cfg, anchors_wh))
    elif asked.model in zoo_names():
        note(console, "COCO's anchors are kept; --anchors fit suits other data")
    return bundle


@contextmanager
def _telling_how_to_go_on(asked: Request) -> Iterator[None]:
    """Alone in the folder of the run. Those that the first process begins work there with it."""
    alone = in_use(asked.out) if is_first_process() else nullcontext()
    try:
        with alone:
            yield
    except KeyboardInterrupt:
        how = "with --resume goes on after the last state that was kept"
        if not asked.begun:
            how = "starts anew: no state was kept yet"
        raise Interrupted(f"stopped; the same command {how}") from None


def coco_numbers_told(trained: Bundle, val_data: Dataset | None) -> dict[str, float]:
    """For --json: images and COCO numbers as `evaluate` tells them; nothing without images."""
    if val_data is None:
        return {}
    with progress("evaluate") as advance:
        numbers = score_bundle(trained, val_data, advance)
    return {"images": len(val_data.samples), **numbers}


def _save(trained: Bundle, asked: Request, measure: Callable[[], dict[str, float]]) -> None:
    """measure: the numbers of a validation, which --json alone asks for."""
    if asked.profile_steps or not is_first_process():
        return
    place = asked.out / BUNDLE_IN_RUN
    save_bundle(trained, place)
    epochs = trained.history[-1].settings["epochs"]
    plural = "" if epochs == 1 else "s"
    console.print(f"{place}: trained {epochs} epoch{plural}")
    if asked.json is not None:
        write_json(asked.json, training_document(trained, asked.out, measure()))
