"""yolo-slim train"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle
from yolo_slim.cfg import BoxLoss, with_anchors, with_iou_thresh
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
from yolo_slim.console import note, warn
from yolo_slim.data.cache import CacheMode
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.batch_picture import write_batch_picture
from yolo_slim.pipeline.classifying import read_splits, require_classifier, train_classifier
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.other_classes import for_classes
from yolo_slim.pipeline.scoring import network_scorer, require_boxes, require_classes
from yolo_slim.pipeline.training import augmentation_of, calm_from, settings_of
from yolo_slim.runtime.session import default_workers
from yolo_slim.train.checkpoint import CHECKPOINT
from yolo_slim.train.loop import train as train_bundle
from yolo_slim.train.processes import is_first_process
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.zoo import names as zoo_names

PICTURES, LOSS, SPEED, MACHINES = "Pictures", "Loss", "Speed", "Machines"
Probability = Annotated[float | None, typer.Option(min=0, max=1)]


def train(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Run folder: bundle, checkpoints, logs.")],
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")],
    data: Data = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    backbone_weights: BackboneSource = None,
    images: Images = None,
    annotations: Annotations = None,
    size: Size = None,
    sparsity: Annotated[
        float, typer.Option(min=0, help="Gammas shrink by their lr x this a step; stay below 1.")
    ] = 0.0,
    teacher: Annotated[
        str | None, typer.Option(help="A trained model with the same heads to learn from.")
    ] = None,
    distill: Annotated[float, typer.Option(min=0, help="Weight of the teacher's opinion.")] = 1.0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images at a time, each process. [default: 16]")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Batches per optimizer step. [default: 1]")
    ] = None,
    optimizer: Annotated[
        Literal["adamw", "sgd"], typer.Option(help="sgd: Darknet's way, as [net] says.")
    ] = "adamw",
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate. [default: the cfg's, else 0.001]")
    ] = None,
    schedule: Annotated[
        Literal["cosine", "cfg"] | None,
        typer.Option(help="cfg: [net]'s policy. [default: cosine; cfg for sgd]"),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0, help="Of kernels. [default: 0.02; the cfg's for sgd]")
    ] = None,
    anchors: Annotated[
        Literal["keep", "fit"], typer.Option(help="fit: to the training boxes, as `data anchors`.")
    ] = "keep",
    mosaic: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability of four in one.", rich_help_panel=PICTURES),
    ] = None,
    mixup: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability of two in one.", rich_help_panel=PICTURES),
    ] = None,
    copy_paste: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability of pasted objects.", rich_help_panel=PICTURES),
    ] = None,
    flip: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability; 0 for text.", rich_help_panel=PICTURES),
    ] = None,
    close_mosaic: Annotated[
        int | None,
        typer.Option(
            help="Last epochs without mosaic, mixup, pasting. [default: 15 %]",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    multi_scale: Annotated[
        float | None,
        typer.Option(
            help="The size varies by up to this factor. [default: 1; 1.4 for random=1]",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    show_batch: Annotated[
        Path | None,
        typer.Option(help="Write a picture of the first batch here.", rich_help_panel=PICTURES),
    ] = None,
    box_loss: Annotated[
        BoxLoss | None,
        typer.Option(help="[default: the cfg's iou_loss, else ciou]", rich_help_panel=LOSS),
    ] = None,
    objectness: Annotated[
        Literal["one", "iou"] | None,
        typer.Option(
            help="What it is to tell. [default: one; iou for objectness_smooth=1]",
            rich_help_panel=LOSS,
        ),
    ] = None,
    iou_thresh: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, rich_help_panel=LOSS,
            help="Anchors this similar in shape look for an object, too. [default: the cfg's]",
        ),
    ] = None,
    cells: Annotated[
        Literal["own", "neighbours"],
        typer.Option(
            rich_help_panel=LOSS,
            help="Which look for an object; neighbours as far as scale_x_y lets them reach.",
        ),
    ] = "own",
    label_smoothing: Annotated[
        float | None, typer.Option(help="[default: the cfg's]", rich_help_panel=LOSS)
    ] = None,
    focal_gamma: Annotated[
        float | None,
        typer.Option(help="0: none. [default: 2 for focal_loss=1]", rich_help_panel=LOSS),
    ] = None,
    precision: Annotated[
        Literal["auto", "bf16", "float32"],
        typer.Option(help="auto: bf16 where it is fast.", rich_help_panel=SPEED),
    ] = "auto",
    cache: Annotated[
        CacheMode,
        typer.Option(help="Where pictures are kept; auto: ram if small.", rich_help_panel=SPEED),
    ] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, max=64, help="Loader processes.", rich_help_panel=SPEED)
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="torch.compile.", rich_help_panel=SPEED)
    ] = False,
    profile_steps: Annotated[
        int,
        typer.Option(min=0, help="Tell where N steps spend their time.", rich_help_panel=SPEED),
    ] = 0,
    devices: Annotated[
        int,
        typer.Option(min=0, help="Processes here; 0: each GPU.", rich_help_panel=MACHINES),
    ] = 0,
    num_nodes: Annotated[
        int, typer.Option(min=1, help="Machines, under torchrun.", rich_help_panel=MACHINES)
    ] = 1,
    strategy: Annotated[
        Literal["auto", "ddp"],
        typer.Option(help="How processes work together.", rich_help_panel=MACHINES),
    ] = "auto",
    sync_batchnorm: Annotated[
        bool, typer.Option("--sync-bn/--no-sync-bn", rich_help_panel=MACHINES,
                           help="BatchNorm over all processes.")
    ] = True,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Between two kept states within an epoch.")
    ] = 10.0,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last state.")] = False,
) -> None:  # fmt: skip
    """Train a detector; with --sparsity its BatchNorm gammas learn which channels may go.

    A classifier is trained on a folder: --data DIR with DIR/train/CLASS/*.jpg, DIR/val/CLASS/*.jpg.
    """
    checkpoint = out / "checkpoints" / CHECKPOINT
    if checkpoint.exists() and not resume and is_first_process():
        raise InputError(
            f"{out} holds a training already: --resume goes on, or choose another --out"
        )
    if resume and not checkpoint.exists():
        raise InputError(f"{out} holds no checkpoint to resume from; leave out --resume")
    typed: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "optimizer": optimizer,
        "schedule": schedule, "weight_decay": weight_decay, "sparsity": sparsity,
        "distill": distill, "accumulate": accumulate, "multi_scale": multi_scale,
        "precision": precision, "compiled": compiled, "profile_steps": profile_steps,
        "checkpoint_minutes": checkpoint_minutes, "seed": seed,
        "workers": default_workers() if workers is None else workers,
        "machines": Machines(devices, num_nodes, strategy, sync_batchnorm),
    }  # fmt: skip
    loss = {
        "box": box_loss, "objectness": objectness, "label_smoothing": label_smoothing,
        "focal_gamma": focal_gamma, "cells": cells,
    }  # fmt: skip
    pictures = {
        "mosaic_p": mosaic, "mixup_p": mixup, "copy_paste_p": copy_paste, "flip_p": flip,
    }  # fmt: skip
    source = ModelSource(model, weights, names, size_px=size)
    # A resumed training goes on from its checkpoint: its own bundle may be named.
    sources = [] if resume else source.files
    if teacher is not None:
        sources = [*sources, *ModelSource(teacher).files]
    check_bundle(out / BUNDLE_IN_RUN, sources)
    check_file(show_batch, sources)
    if data is not None and data.is_dir():
        _refuse_for_classifiers(teacher=teacher, mosaic=mosaic, mixup=mixup, copy_paste=copy_paste,
            multi_scale=multi_scale, show_batch=show_batch, box_loss=box_loss,
            objectness=objectness, iou_thresh=iou_thresh,
            anchors=None if anchors == "keep" else anchors)  # fmt: skip
        with _telling_how_to_go_on(checkpoint):
            trained = _train_classifier(
                source, backbone_weights, data, typed, loss, pictures, out, resume
            )
        _save(trained, out, epochs, profile_steps)
        return
    train_data = dataset(data, images, annotations, "train")
    val_data = dataset(data, None, None, "val") if data is not None else None
    if val_data is not None:
        require_boxes(val_data)
    bundle = _start(source, train_data, backbone_weights, seed, resume)
    if iou_thresh is not None:
        bundle = replace(bundle, cfg=with_iou_thresh(bundle.cfg, iou_thresh))
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
            console=console, told={"augmentation": str(augmentation)},
        )  # fmt: skip
    _save(trained, out, epochs, profile_steps)


def _start(
    source: ModelSource, data: Dataset, backbone_weights: str | None, seed: int, resume: bool
) -> Bundle:
    """What the training begins with: read, or made for the classes of the data."""
    bundle = load_model(source, untrained=True, classes=len(data.class_names))
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    bundle.cfg.require_yolos()
    is_trained = source.weights is not None or bool(bundle.history)
    if bundle.cfg.n_classes != len(data.class_names) and is_trained:
        bundle, told = for_classes(bundle, data.class_names, seed)
        note(console, told)
    require_classes(bundle.cfg.n_classes, data, source.model)
    return replace(bundle, class_names=tuple(data.class_names))


def _train_classifier(
    source: ModelSource,
    backbone_weights: str | None,
    data: Path,
    typed: dict[str, Any],
    loss: dict[str, Any],
    pictures: dict[str, Any],
    out: Path,
    resume: bool,
) -> Bundle:
    training, validation = read_splits(data)
    bundle = load_model(source, untrained=True, classes=len(training.class_names))
    require_classifier(bundle.cfg, source.model, data)
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    settings: TrainSettings = settings_of(bundle.cfg, typed, loss)
    augmentation = augmentation_of(bundle.cfg, pictures).calm()
    return train_classifier(
        bundle, training, validation, settings, augmentation, out, resume, console
    )


def _refuse_for_classifiers(**options: Any) -> None:
    """Raises InputError for an option that means nothing where there are no boxes."""
    for name, value in options.items():
        if value is not None:
            raise InputError(
                f"--{name.replace('_', '-')} is for detectors: a classifier learns from pictures "
                "and their labels alone"
            )


@contextmanager
def _telling_how_to_go_on(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        how = "with --resume goes on after the last state that was kept"
        if not checkpoint.exists():
            how = "starts anew: no state was kept yet"
        raise Interrupted(f"stopped; the same command {how}") from None


def _save(trained: Bundle, out: Path, epochs: int, profile_steps: int) -> None:
    if profile_steps or not is_first_process():
        return
    save_bundle(trained, out / BUNDLE_IN_RUN)
    console.print(f"{out / BUNDLE_IN_RUN}: trained {epochs} epochs")
