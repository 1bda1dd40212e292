"""Pictures without a word about what is on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from yolo_slim.data.dataset import Dataset, Sample, sample_of
from yolo_slim.data.image import read_size
from yolo_slim.data.pictures import Progress, find_pictures, tracked
from yolo_slim.errors import DataError


def read_unlabelled(folder: Path, progress: Progress | None = None) -> Dataset:
    """All pictures below a folder, without boxes or classes.

    Raises DataError where there is none that can be read.
    """
    samples: list[Sample] = []
    faults: list[str] = []
    for path in tracked(find_pictures(folder), progress):
        try:
            samples.append(sample_of(path, len(samples), read_size(path), ())[0])
        except DataError as error:
            faults.append(str(error))
    if faults and not samples:
        raise DataError(
            f"{folder}: none of {len(faults)} pictures can be read, the first: {faults[0]}"
        )
    notes = (f"{len(faults)} pictures cannot be read: {faults[0]}",) if faults else ()
    return Dataset(str(folder), tuple(samples), (), (), notes)


def with_unlabelled(labelled: Dataset, others: Dataset) -> Dataset:
    """Both, as pictures alone: those of `others` that are among the labelled ones count once."""
    known = {sample.path.resolve() for sample in labelled.samples}
    fresh = [sample for sample in others.samples if sample.path.resolve() not in known]
    samples = [
        replace(sample, image_id=number)
        for number, sample in enumerate((*labelled.samples, *fresh))
    ]
    return replace(labelled, samples=tuple(samples))
