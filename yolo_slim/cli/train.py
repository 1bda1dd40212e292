"""yolo-slim train"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle
from yolo_slim.cfg import with_anchors, with_iou_thresh, with_scale_x_y
from yolo_slim.cli.options import (
    Annotations,
    BackboneSource,
    Data,
    Images,
    Model,
    NamesFile,
    Seed,
    Size,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
    with_backbone,
)
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.cli.train_classifier import refuse_for_classifiers, train_labelled
from yolo_slim.cli.train_options import (
    Accumulate,
    Affine,
    Anchors,
    BatchSize,
    BoxMeasure,
    BoxWeight,
    Cache,
    Cells,
    CheckpointMinutes,
    CloseMosaic,
    Colour,
    Compiled,
    CopyPaste,
    Devices,
    Distill,
    Epochs,
    Flip,
    FocalGamma,
    IouThresh,
    KeepZeros,
    LabelSmoothing,
    Lr,
    Mixup,
    Mosaic,
    MultiScale,
    NumNodes,
    Objectness,
    OptimizerName,
    Precision,
    ProfileSteps,
    Resume,
    RunFolder,
    Schedule,
    Shift,
    ShowBatch,
    SparsityFraction,
    SparsityPatience,
    SparsityPenaltyName,
    SparsityScheduleName,
    SparsityStepName,
    SparsityStrength,
    SparsityWeightName,
    Strategy,
    SyncBatchnorm,
    Teacher,
    WeightDecay,
    Workers,
    Zoom,
)
from yolo_slim.console import note, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.batch_picture import write_batch_picture
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.other_classes import for_classes
from yolo_slim.pipeline.scoring import network_scorer, require_boxes
from yolo_slim.pipeline.sparsity_curve import ap_curve_on
from yolo_slim.pipeline.training import augmentation_of, calm_from, settings_of
from yolo_slim.runtime.session import default_workers
from yolo_slim.train.checkpoint import CHECKPOINT
from yolo_slim.train.loop import train as train_bundle
from yolo_slim.train.processes import is_first_process
from yolo_slim.train.settings import Machines
from yolo_slim.train.sparsity_settings import LEAST_IMPORTANT, SparsitySettings
from yolo_slim.zoo import names as zoo_names

REACH = 2.0
"""scale_x_y of a new network whose neighbouring cells look for an object: half a cell."""


def train(
    model: Model,
    out: RunFolder,
    epochs: Epochs,
    data: Data = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    backbone_weights: BackboneSource = None,
    images: Images = None,
    annotations: Annotations = None,
    size: Size = None,
    sparsity: SparsityStrength = 0.0,
    keep_zeros: KeepZeros = None,
    sparsity_schedule: SparsityScheduleName = "constant",
    sparsity_fraction: SparsityFraction = LEAST_IMPORTANT,
    sparsity_weight: SparsityWeightName = "none",
    sparsity_penalty: SparsityPenaltyName = "l1",
    sparsity_step: SparsityStepName = "proximal",
    sparsity_patience: SparsityPatience = 0,
    teacher: Teacher = None,
    distill: Distill = 1.0,
    batch_size: BatchSize = None,
    accumulate: Accumulate = None,
    optimizer: OptimizerName = "adamw",
    lr: Lr = None,
    schedule: Schedule = None,
    weight_decay: WeightDecay = None,
    anchors: Anchors = "keep",
    mosaic: Mosaic = None,
    mixup: Mixup = None,
    copy_paste: CopyPaste = None,
    flip: Flip = None,
    affine: Affine = None,
    zoom: Zoom = None,
    shift: Shift = None,
    colour: Colour = None,
    close_mosaic: CloseMosaic = None,
    multi_scale: MultiScale = None,
    show_batch: ShowBatch = None,
    box_loss: BoxMeasure = None,
    box_weight: BoxWeight = None,
    objectness: Objectness = None,
    iou_thresh: IouThresh = None,
    cells: Cells = "own",
    label_smoothing: LabelSmoothing = None,
    focal_gamma: FocalGamma = None,
    precision: Precision = "auto",
    cache: Cache = "auto",
    workers: Workers = None,
    compiled: Compiled = False,
    profile_steps: ProfileSteps = 0,
    devices: Devices = 0,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    sync_batchnorm: SyncBatchnorm = True,
    checkpoint_minutes: CheckpointMinutes = 10.0,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Train a detector; with --sparsity its BatchNorm gammas learn which channels may go.

    A classifier is trained on a folder: --data DIR with DIR/train/CLASS/*.jpg, DIR/val/CLASS/*.jpg.
    """
    checkpoint = out / "checkpoints" / CHECKPOINT
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected the name of a folder to make")
    if checkpoint.exists() and not resume and is_first_process():
        raise InputError(
            f"{out} holds a training already: --resume goes on, or choose another --out"
        )
    if resume and not checkpoint.exists():
        raise InputError(f"{out} holds no checkpoint to resume from; leave out --resume")
    typed: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "optimizer": optimizer,
        "schedule": schedule, "weight_decay": weight_decay, "sparsity": sparsity,
        "keep_zeros": keep_zeros,
        "distill": distill, "accumulate": accumulate, "multi_scale": multi_scale,
        "precision": precision, "compiled": compiled, "profile_steps": profile_steps,
        "checkpoint_minutes": checkpoint_minutes, "seed": seed,
        "workers": default_workers() if workers is None else workers,
        "machines": Machines(devices, num_nodes, strategy, sync_batchnorm),
        "sparse": SparsitySettings(sparsity_schedule, sparsity_fraction, sparsity_weight,
                                   sparsity_penalty, sparsity_step, sparsity_patience),
    }  # fmt: skip
    loss = {
        "box": box_loss, "box_weight": box_weight, "objectness": objectness,
        "label_smoothing": label_smoothing,
        "focal_gamma": focal_gamma, "cells": cells,
    }  # fmt: skip
    pictures = {
        "mosaic_p": mosaic, "mixup_p": mixup, "copy_paste_p": copy_paste, "flip_p": flip,
        "affine_p": affine, "scale": None if zoom is None else (1 / zoom, zoom), "shift": shift,
        "colour_p": colour,
    }  # fmt: skip
    source = ModelSource(model, weights, names, size_px=size)
    # A resumed training goes on from its checkpoint: its own bundle may be named.
    sources = [] if resume else source.files
    if teacher is not None:
        sources = [*sources, *ModelSource(teacher).files]
    check_bundle(out / BUNDLE_IN_RUN, sources)
    check_file(show_batch, sources)
    if data is not None and data.is_dir():
        refuse_for_classifiers(teacher=teacher, mosaic=mosaic, mixup=mixup, copy_paste=copy_paste,
            multi_scale=multi_scale, show_batch=show_batch, box_loss=box_loss,
            objectness=objectness, iou_thresh=iou_thresh,
            anchors=None if anchors == "keep" else anchors)  # fmt: skip
        with _telling_how_to_go_on(checkpoint):
            trained = train_labelled(
                source, backbone_weights, data, typed, loss, pictures, out, resume
            )
        _save(trained, out, profile_steps)
        return
    train_data = dataset(data, images, annotations, "train")
    require_boxes(train_data)
    val_data = dataset(data, None, None, "val") if data is not None else None
    if val_data is not None:
        require_boxes(val_data)
    bundle = _start(source, train_data, backbone_weights, seed)
    if iou_thresh is not None:
        bundle = replace(bundle, cfg=with_iou_thresh(bundle.cfg, iou_thresh))
    if cells == "neighbours" and all(yolo.scale_x_y == 1 for yolo in bundle.cfg.yolos):
        bundle = _reaching_neighbours(bundle, source)
    if anchors == "fit":
        anchors_wh = fitted_anchors(bundle.cfg, train_data, seed)
        bundle = replace(bundle, cfg=with_anchors(bundle.cfg, anchors_wh))
    elif model in zoo_names():
        note(console, "COCO's anchors are kept; --anchors fit suits other data")
    cfg = bundle.cfg
    settings = settings_of(cfg, typed, loss)
    teacher_bundle = None if teacher is None else load_model(ModelSource(teacher, size_px=size))
    augmentation = augmentation_of(cfg, pictures)
    training_set = TrainingSet(
        train_data, cfg.input_hw, cfg.resize_mode, augmentation, channels=cfg.net.channels,
        calm_from=calm_from(epochs, close_mosaic), cache=cache, cache_folder=out / "cache",
        seed=seed,
    )  # fmt: skip
    with progress("reading images") as advance:
        faults = training_set.warm(advance)
    if faults:
        warn(console, f"{len(faults)} images are left out: {'; '.join(faults[:5])}"
             + (" ..." if len(faults) > 5 else ""))  # fmt: skip
    if show_batch is not None and is_first_process():
        write_batch_picture(show_batch, training_set, settings.batch_size, seed, bundle.names)
        console.print(f"{show_batch}: the first batch")
    with _telling_how_to_go_on(checkpoint):
        trained = train_bundle(
            bundle, training_set, collate, settings, out, teacher=teacher_bundle,
            score=None if val_data is None else network_scorer(val_data), resume=resume,
            console=console,
            told={"augmentation": str(augmentation), "data": fingerprint(train_data),
                  "teacher": "none" if teacher_bundle is None else fingerprint(teacher_bundle)},
            ap_curve=None if val_data is None else ap_curve_on(val_data),
        )  # fmt: skip
    _save(trained, out, profile_steps)


def _start(source: ModelSource, data: Dataset, backbone_weights: str | None, seed: int) -> Bundle:
    """What the training begins with: read, or made for the classes of the data."""
    bundle = load_model(source, untrained=True, classes=len(data.class_names))
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    bundle.cfg.require_yolos()
    if bundle.cfg.n_classes != len(data.class_names):
        named = bool(bundle.class_names)
        bundle, told = for_classes(bundle, data.class_names, seed)
        note(console, told)
        if source.weights is not None and not named:
            note(console, "--names FILE tells which classes the weights know already")
    return replace(bundle, class_names=tuple(data.class_names))


def _reaching_neighbours(bundle: Bundle, source: ModelSource) -> Bundle:
    """The bundle with boxes that reach into the next cells; raises InputError for a trained one."""
    if source.weights is not None or bundle.history:
        raise InputError(
            f"--cells neighbours needs scale_x_y above 1, and {source.model} was trained with 1: "
            "leave it out, or train from scratch"
        )
    note(console, f"scale_x_y={REACH:g} is written into the cfg: boxes reach into the next cells")
    return replace(bundle, cfg=with_scale_x_y(bundle.cfg, REACH))


@contextmanager
def _telling_how_to_go_on(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        how = "with --resume goes on after the last state that was kept"
        if not checkpoint.exists():
            how = "starts anew: no state was kept yet"
        raise Interrupted(f"stopped; the same command {how}") from None


def _save(trained: Bundle, out: Path, profile_steps: int) -> None:
    if profile_steps or not is_first_process():
        return
    save_bundle(trained, out / BUNDLE_IN_RUN)
    epochs = trained.history[-1].settings["epochs"]
    plural = "" if epochs == 1 else "s"
    console.print(f"{out / BUNDLE_IN_RUN}: trained {epochs} epoch{plural}")
