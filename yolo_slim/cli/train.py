"""yolo-slim train"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle
from yolo_slim.cfg import with_anchors
from yolo_slim.cli.options import (
    Annotations,
    BackboneSource,
    Data,
    Images,
    Model,
    Seed,
    Size,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
    with_backbone,
)
from yolo_slim.cli.targets import check_bundle, save_bundle
from yolo_slim.console import note
from yolo_slim.data.augment import Augmentation
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.classifying import read_splits, require_classifier, train_classifier
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.scoring import network_scorer, require_boxes, require_classes
from yolo_slim.runtime.session import default_workers
from yolo_slim.train.loop import CHECKPOINT
from yolo_slim.train.loop import train as train_bundle
from yolo_slim.train.settings import TrainSettings
from yolo_slim.zoo import names as zoo_names


def train(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Run folder: bundle, checkpoints, logs.")],
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")],
    data: Data = None,
    weights: WeightsFile = None,
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
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches per optimizer step.")] = 1,
    lr: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 1e-3,
    precision: Annotated[
        Literal["auto", "bf16", "float32"], typer.Option(help="auto: bf16 where it is fast.")
    ] = "auto",
    mosaic: Annotated[float, typer.Option(min=0, max=1, help="Probability.")] = 0.3,
    flip: Annotated[float, typer.Option(min=0, max=1, help="Probability; 0 for text.")] = 0.5,
    anchors: Annotated[
        Literal["keep", "fit"], typer.Option(help="fit: to the training boxes, as `data anchors`.")
    ] = "keep",
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(min=0, max=64, help="Loader processes.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
) -> None:
    """Train a detector; with --sparsity its BatchNorm gammas learn which channels may go.

    A classifier is trained on a folder: --data DIR with DIR/train/CLASS/*.jpg, DIR/val/CLASS/*.jpg.
    """
    checkpoint = out / "checkpoints" / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise InputError(
            f"{out} holds a training already: --resume goes on, or choose another --out"
        )
    if resume and not checkpoint.exists():
        raise InputError(f"{out} holds no checkpoint to resume from; leave out --resume")
    settings = TrainSettings(
        epochs, batch_size, lr, sparsity=sparsity, distill=distill, accumulate=accumulate,
        precision=precision, seed=seed, workers=default_workers() if workers is None else workers,
    )  # fmt: skip
    source = ModelSource(model, weights, size_px=size)
    # A resumed training goes on from its checkpoint: its own bundle may be named.
    sources = [] if resume else source.files
    if teacher is not None:
        sources = [*sources, *ModelSource(teacher).files]
    check_bundle(out / BUNDLE_IN_RUN, sources)
    if data is not None and data.is_dir():
        if teacher is not None:
            raise InputError("--teacher is for detectors: a classifier learns from labels alone")
        with _telling_how_to_go_on(checkpoint):
            trained = _train_classifier(source, backbone_weights, data, settings, flip, out, resume)
        _save(trained, out, epochs)
        return
    train_data = dataset(data, images, annotations, "train")
    val_data = dataset(data, None, None, "val") if data is not None else None
    if val_data is not None:
        require_boxes(val_data)
    bundle = load_model(source, untrained=True, classes=len(train_data.class_names))
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    bundle.cfg.require_yolos()
    require_classes(bundle.cfg.n_classes, train_data, model)
    if anchors == "fit":
        anchors_wh = fitted_anchors(bundle.cfg, train_data, seed)
        bundle = replace(bundle, cfg=with_anchors(bundle.cfg, anchors_wh))
    elif model in zoo_names():
        note(console, "COCO's anchors are kept; --anchors fit suits other data")
    bundle = replace(bundle, class_names=tuple(train_data.class_names))
    teacher_bundle = None if teacher is None else load_model(ModelSource(teacher, size_px=size))
    training_set = TrainingSet(
        train_data, bundle.cfg.input_hw, bundle.cfg.resize_mode,
        Augmentation(mosaic_p=mosaic, flip_p=flip), channels=bundle.cfg.net.channels, seed=seed,
    )  # fmt: skip
    with progress("reading images") as advance:
        training_set.warm(advance)
    with _telling_how_to_go_on(checkpoint):
        trained = train_bundle(
            bundle, training_set, collate, settings, out, teacher=teacher_bundle,
            score=None if val_data is None else network_scorer(val_data), resume=resume,
            console=console,
        )  # fmt: skip
    _save(trained, out, epochs)


def _train_classifier(
    source: ModelSource,
    backbone_weights: str | None,
    data: Path,
    settings: TrainSettings,
    flip: float,
    out: Path,
    resume: bool,
) -> Bundle:
    training, validation = read_splits(data)
    bundle = load_model(source, untrained=True, classes=len(training.class_names))
    require_classifier(bundle.cfg, source.model, data)
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    augmentation = Augmentation(mosaic_p=0, flip_p=flip)
    return train_classifier(
        bundle, training, validation, settings, augmentation, out, resume, console
    )


@contextmanager
def _telling_how_to_go_on(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        how = "with --resume goes on after the last whole epoch"
        if not checkpoint.exists():
            how = "starts anew: no epoch was whole yet"
        raise Interrupted(f"stopped; the same command {how}") from None


def _save(trained: Bundle, out: Path, epochs: int) -> None:
    save_bundle(trained, out / BUNDLE_IN_RUN)
    console.print(f"{out / BUNDLE_IN_RUN}: trained {epochs} epochs")
