"""`prune --sweep`: how much may go, before anything goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from yolo_slim.bundle import Bundle
from yolo_slim.cli.options import console, dataset, progress, write_json
from yolo_slim.console import note
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import DESCRIPTIONS, pointing
from yolo_slim.data.unlabelled import read_unlabelled
from yolo_slim.errors import InputError
from yolo_slim.pipeline.circumstances import circumstances
from yolo_slim.pipeline.prune_step import needs_images
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.pipeline.scoring import require_heads
from yolo_slim.pipeline.sweeping import (
    PAGE,
    Layers,
    Sweep,
    Sweeper,
    sweep_document,
    sweep_table,
    verdict,
    write_sweep,
)
from yolo_slim.prune.recalibrate import require_some
from yolo_slim.prune.sensitivity import SHARES
from yolo_slim.runtime.session import default_threads


@dataclass(frozen=True)
class DataNames:
    """The data that a command names: --data, or --images with --annotations; --recalibrate.

    n_images: how many were asked for, 0 where that was left open.
    Raises InputError for a --recalibrate that is neither a folder nor a description.
    """

    data: Path | None
    images: Path | None
    annotations: Path | None
    recalibrate: Path | None
    n_images: int = 0

    def __post_init__(self) -> None:
        fresh = self.recalibrate
        if fresh is None or (fresh.is_dir() and not pointing(fresh)):
            return
        if fresh.suffix not in DESCRIPTIONS:
            raise InputError(
                f"--recalibrate {fresh}: expected a folder of pictures, or a description FILE as "
                f"for --data ({', '.join(DESCRIPTIONS)}){pointing(fresh)}"
            )

    @property
    def given(self) -> bool:
        return any((self.data, self.images, self.annotations))

    def split(self, name: str, class_names: tuple[str, ...]) -> Dataset:
        """'train' or 'val' of --data; a pair of images and annotations is either."""
        return dataset(self.data, self.images, self.annotations, name, class_names)

    def training(self, class_names: tuple[str, ...]) -> Dataset:
        """Those of which --n-images are asked."""
        return self._counted(self.split("train", class_names))

    def recalibration(self, class_names: tuple[str, ...]) -> Dataset | None:
        """The training images of --recalibrate, or all pictures of the folder that it is."""
        if self.recalibrate is None:
            return None
        if self.recalibrate.is_dir():
            pictures = read_unlabelled(self.recalibrate)
            for text in pictures.notes:
                note(console, f"{self.recalibrate}: {text}")
            return self._counted(pictures)
        return self._counted(dataset(self.recalibrate, None, None, "train", class_names))

    def _counted(self, images: Dataset) -> Dataset:
        n = len(images.samples)
        if self.n_images > n:
            note(console, f"{images.source}: all {n} images are asked: there are no more")
        return images

    def around(self, bundle: Bundle, step: PruneStep, threads: int | None) -> Surroundings:
        """What a step may ask: data is read only if it does."""
        training = None
        if self.given and needs_images(step):
            training = self.training(bundle.class_names)
        fresh = self.recalibration(bundle.class_names)
        return Surroundings(
            progress, training, fresh, threads or default_threads(), step.seed, step.runtime
        )


def sweep_bundle(
    bundle: Bundle,
    step: PruneStep,
    named: DataNames,
    out: Path,
    threads: int | None,
    with_layers: bool,
    json: Path | None,
) -> None:
    """Measures the curve on the val images of --data, prints it, and writes it into `out`."""
    bundle.require_batchnorm("prune")
    require_heads(bundle.cfg)
    val_data = named.split("val", bundle.class_names)
    around = named.around(bundle, step, threads)
    if around.recalibration is None:
        around = _with_own_training_images(around, named, bundle, step.n_images)
    sweeper = Sweeper(bundle, step, val_data, around)
    with progress("sweep") as advance:
        points = sweeper.points(advance)
    layers: Layers = ()
    if with_layers:
        with progress("layers one by one") as advance:
            layers = sweeper.layers(advance)
    found = Sweep.of(points, SHARES if layers else (), layers)
    told = verdict(found)
    write_sweep(out, bundle.cfg.source, found, circumstances(step.seed, around.threads), told)
    _print(found)
    console.print(told)
    console.print(f"The page lies at {out / PAGE}")
    write_json(json, {**sweep_document(found), "verdict": told})


def require_sweepable(step: PruneStep, given: list[str], named: DataNames, verb: str) -> None:
    """Raises InputError for what a sweep does not go with. verb: how it was asked for."""
    if not named.given:
        raise InputError(
            f"{verb} measures AP: name --data FILE, or --images DIR with --annotations FILE"
        )
    if given:
        raise InputError(f"{verb} tries all ratios: leave out {given[0]}")
    others = {
        "--granularity": step.granularity != "channel",
        "--layers": step.layers is not None,
        "--select": step.select is not None,
    }
    found = [option for option, is_there in others.items() if is_there]
    if found:
        raise InputError(f"{verb} is of channels: leave out {' and '.join(found)}")


def _with_own_training_images(
    around: Surroundings, named: DataNames, bundle: Bundle, n_images: int
) -> Surroundings:
    """Recalibrates on the training images that --data describes beside those that are scored."""
    if named.data is None:
        note(console, "no recalibration: --recalibrate DATA names training images for it")
        return around
    try:
        own = named.training(bundle.class_names)
        require_some(min(n_images, len(own.samples)), "recalibrate from")
    except InputError as error:
        note(console, f"no recalibration: {error}")
        return around
    return replace(around, recalibration=own)


def _print(found: Sweep) -> None:
    head, *rows = sweep_table(found.points)
    table = Table(title="without any training after the cut")
    for text in head:
        table.add_column(text, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if found.layers and found.detects:
        worst = sorted(found.layers, key=lambda pair: float(np.mean(pair[1])))[:5]
        told = ", ".join(f"section {group.label} ({min(values):.3f})" for group, values in worst)
        console.print(f"cut alone, these cost the most AP: {told}")
