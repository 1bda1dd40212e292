"""A teacher's answers on disk: a picture that comes again is not asked about again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from yolo_slim.cfg import infer_shapes
from yolo_slim.distill.teacher import Answer, Teacher
from yolo_slim.files import whole_file


class TeacherCache:
    """Answers as `teacher` does, from `folder` where it has been asked before.

    A picture is known by its numbers, so that it does not matter who draws the batches. It helps
    where pictures come again exactly: without augmentation. The teacher must answer each picture
    for itself: by its running statistics.
    """

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        self.teacher, self.folder = teacher, folder
        self.n_asked = 0

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.teacher.to(device, dtype)

    def __call__(self, images: Tensor) -> Answer:
        paths = [self.folder / f"{_name(image)}.safetensors" for image in images]
        found = [self._known(path, images) for path in paths]
        unknown = [place for place, answer in enumerate(found) if answer is None]
        if unknown:
            self.n_asked += len(unknown)
            raws, maps = self.teacher(images[unknown])
            for row, place in enumerate(unknown):
                _write(paths[place], raws, maps, row)
                found[place] = load_file(paths[place], device=str(images.device))
        answers = [answer for answer in found if answer is not None]
        stacked = {
            # In the layout of an answer that was just given: sums over it come out the same.
            key: torch.stack([a[key] for a in answers]).to(memory_format=torch.channels_last)
            for key in answers[0]
        }
        n_raws = sum(key.startswith("raw.") for key in stacked)
        return (
            tuple(stacked[f"raw.{place}"] for place in range(n_raws)),
            {section: stacked[f"map.{section}"] for section in self.teacher.taps},
        )

    def _known(self, path: Path, images: Tensor) -> dict[str, Tensor] | None:
        """The answer in a file; None where there is none, or what there is is damaged."""
        try:
            found = load_file(path, device=str(images.device))
        except (OSError, SafetensorError):
            return None
        shapes = {key: tuple(value.shape) for key, value in found.items()}
        return found if shapes == self._shapes(images) else None

    def _shapes(self, images: Tensor) -> dict[str, tuple[int, ...]]:
        cfg = self.teacher.network.cfg
        height, width = images.shape[2:]
        shapes = infer_shapes(replace(cfg, net=replace(cfg.net, height=height, width=width)))
        raws = {f"raw.{k}": shapes[index] for k, index in enumerate(cfg.output_indices)}
        return {**raws, **{f"map.{section}": shapes[section] for section in self.teacher.taps}}

    def __deepcopy__(self, memo: dict[int, object]) -> TeacherCache:
        return self


def _name(image: Tensor) -> str:
    numbers = image.detach().cpu().contiguous().numpy().tobytes()
    return hashlib.blake2b(numbers, digest_size=16).hexdigest()


def _write(path: Path, raws: tuple[Tensor, ...], maps: dict[int, Tensor], row: int) -> None:
    answer = {f"raw.{place}": raw[row].contiguous() for place, raw in enumerate(raws)}
    answer |= {f"map.{section}": values[row].contiguous() for section, values in maps.items()}
    with whole_file(path) as temporary:
        save_file(answer, temporary)
