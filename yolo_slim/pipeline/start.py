"""What a recipe starts from: its data, and its model before the first step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import with_anchors, with_iou_thresh, with_scale_x_y
from yolo_slim.console import note
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.digits import make_digits
from yolo_slim.data.unlabelled import read_unlabelled, with_unlabelled
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.other_classes import for_classes, is_for
from yolo_slim.pipeline.reach import with_reach
from yolo_slim.pipeline.recipe import DataSpec, ModelSpec, Recipe, SplitSpec
from yolo_slim.pipeline.same_classes import numbered_as
from yolo_slim.pipeline.scoring import require_boxes
from yolo_slim.pipeline.step_folder import DATA
from yolo_slim.weights import random_weights


@dataclass(frozen=True)
class Start:
    """bundle: before the first step. trained: whether its answers are more than random, for these
    classes and with these anchors. pictures: those to train on, and those without labels. key: what
    a step that was done from another start does not have."""

    bundle: Bundle
    train_data: Dataset
    val_data: Dataset
    pictures: Dataset
    trained: bool
    key: str


def read_start(recipe: Recipe, out: Path, console: Console) -> Start:
    """Raises an InputError for data or a model that are not there, or do not go together."""
    train_data, val_data = _datasets(recipe.data, out, console)
    spec = recipe.model
    require_boxes(val_data)
    bundle, unlearned = model_of(spec, train_data, recipe.seed, recipe.reaches_neighbours)
    for text in unlearned:
        note(console, text)
    trained = not spec.is_drawn and not unlearned
    pictures = _with_unlabelled(train_data, recipe.data.unlabelled, console)
    # Of what fingerprints tell of the files, wherever they lie.
    data = (train_data, val_data, pictures)
    key = digest(*map(fingerprint, data), fingerprint(bundle), str(recipe.seed))
    return Start(bundle, train_data, val_data, pictures, trained, key)


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _datasets(spec: DataSpec, out: Path, console: Console) -> tuple[Dataset, Dataset]:
    if spec.digits:
        folder = out / DATA / "digits"
        console.print(f"data: the built-in digits, in {folder}")
        make_digits(folder)
        return _splits(folder / "digits.yaml", None, None)
    return _splits(spec.description, spec.train, spec.val)


def _with_unlabelled(train_data: Dataset, folder: Path | None, console: Console) -> Dataset:
    if folder is None:
        return train_data
    others = read_unlabelled(folder)
    for text in others.notes:
        note(console, f"{folder}: {text}")
    return with_unlabelled(train_data, others)


def _splits(
    description: Path | None, train_split: SplitSpec | None, val_split: SplitSpec | None
) -> tuple[Dataset, Dataset]:
    training = read_dataset(description, *_pair(train_split), "train")
    names = training.class_names  # numbers them alike where annotations say classes in words
    validation = read_dataset(description, *_pair(val_split), "val", names=names)
    return training, numbered_as(validation, training.source, names, len(names))


def _pair(split: SplitSpec | None) -> tuple[Path | None, Path | None]:
    return (split.images, split.annotations) if split else (None, None)


def model_of(
    spec: ModelSpec, train_data: Dataset, seed: int, neighbours: bool = False
) -> tuple[Bundle, tuple[str, ...]]:
    """The model that a recipe names, for these data, and a sentence on each thing by which its
    answers are no longer those that were learned. Weights it has none of are drawn by `seed`.

    neighbours: it is to be trained with the cells beside an object's.
    """
    name = spec.zoo or str(spec.cfg or spec.bundle)
    source = ModelSource(name, weights=spec.weights, size_px=spec.size)
    class_names = tuple(train_data.class_names)
    bundle = load_model(source, untrained=True, classes=len(class_names))
    unlearned = []
    if not is_for(bundle, class_names):
        bundle, told = for_classes(bundle, class_names, seed)
        unlearned.append(told)
    if neighbours:
        bundle, reaches = with_reach(bundle, not spec.is_drawn)
        unlearned += [reaches] if reaches else []
    cfg = bundle.cfg
    if spec.iou_thresh is not None:
        cfg = with_iou_thresh(cfg, spec.iou_thresh)
    if spec.scale_x_y is not None:
        cfg = with_scale_x_y(cfg, spec.scale_x_y)
    if spec.anchors == "fit":
        anchors_wh = fitted_anchors(cfg, train_data, seed)
        cfg = with_anchors(cfg, [(round(w, 1), round(h, 1)) for w, h in anchors_wh])
        if not spec.is_drawn:
            unlearned.append("anchors are fitted anew: sizes were learned with others")
    if spec.is_drawn:
        return Bundle(cfg, random_weights(cfg, seed), class_names=class_names), tuple(unlearned)
    return replace(bundle, cfg=cfg, class_names=class_names), tuple(unlearned)
