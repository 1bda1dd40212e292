"""Teacher, connectors and losses together: what a training asks on each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, infer_shapes
from yolo_slim.cfg.scale import coarsest_stride
from yolo_slim.distill.cache import TeacherCache
from yolo_slim.distill.inputs import require_same_channels
from yolo_slim.distill.margin import (
    MIN_IMAGES,
    NegativeMean,
    batchnorm_of,
    negative_mean,
    negative_response,
)
from yolo_slim.distill.outputs import match_heads, output_terms, soft_target_loss
from yolo_slim.distill.overhaul import Connectors, overhaul_loss, teacher_transform
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.distill.taps import Pair, match_taps
from yolo_slim.distill.teacher import Answer, Teacher
from yolo_slim.errors import InputError
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.nn.decode import class_logits, not_half
from yolo_slim.processes import mean_over_processes
from yolo_slim.weights import network_of

Images = Callable[[], Iterable[Tensor]]
"""Batches of training images [B, C, H, W], 0..1, as a network takes them: at least MIN_IMAGES."""


class Distiller:
    """Asks a teacher, and gives the terms that it adds to the student's loss.

    connectors: what is trained beside the student; None where no features are compared.
    taps: sections of the student whose maps it wants, before_activation or after it.
    stride_px: the teacher's coarsest.

    images: needed where a margin can only be measured. cache: folder in which this teacher's
    answers are kept, for pictures that come again exactly; a folder in it for each set of maps.
    Raises InputError where the two networks cannot be compared as the settings ask.
    """

    def __init__(
        self,
        teacher: Bundle,
        student: Cfg,
        settings: DistillSettings,
        batch_size: int,
        images: Images | None = None,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        self.settings, self.student, self.teacher_cfg = settings, student, teacher.cfg
        detects = bool(student.heads)
        _require_same_kind(student, teacher.cfg)
        require_used_temperature(student, settings)
        if not detects and settings.outputs:
            _require_same_classes(student, teacher.cfg, settings)
        self.pairs = match_taps(student, teacher.cfg, settings.taps) if settings.overhaul else []
        self.heads = match_heads(student, teacher.cfg) if detects and settings.outputs else []
        self.before_activation = settings.position == "before"
        self.stride_px = coarsest_stride(teacher.cfg)
        self.taps = frozenset(pair.student.section for pair in self.pairs)
        self.connectors = Connectors(self.pairs, seed) if self.pairs else None
        self.margins = _margins(teacher, self.pairs, settings, images) if self.pairs else []
        by_batch = bool(self.pairs) and settings.batch_statistics(batch_size)
        if by_batch and cache is not None:
            raise InputError(
                "--cache-teacher: answers by the statistics of a batch hold for that batch alone; "
                "name --teacher-statistics running"
            )
        sections = {pair.teacher.section for pair in self.pairs}
        maps = [settings.position, *map(str, sorted(sections))] if sections else ["raw"]
        asked = Teacher(teacher, sections, self.before_activation, by_batch)
        self.teacher = asked if cache is None else TeacherCache(asked, cache / "-".join(maps))
        self._scaled = False

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.teacher.to(device, dtype)
        self.margins = [margin.to(device, dtype) for margin in self.margins]

    def ask(self, images: Tensor) -> Answer:
        """What the teacher says to images [B, C, H, W], 0..1."""
        return self.teacher(images)

    def terms(
        self,
        answer: Answer,
        raws: Sequence[Tensor],
        maps: Mapping[int, Tensor],
        targets: Tensor,
        own_loss: Tensor | None,
        input_hw: tuple[int, int],
    ) -> dict[str, Tensor]:
        """name -> what is added to the loss.

        raws, maps: the student's. targets: its labels, [N, 6] of a detector. own_loss: what they
        cost it; None where it learns without them. input_hw: of these images.
        """
        their_raws, their_maps = answer
        found: dict[str, Tensor] = {}
        if self.pairs:
            found["overhaul"] = self._overhaul(maps, their_maps, own_loss)
        if not self.settings.outputs:
            return found
        with torch.autocast(raws[0].device.type, enabled=False):
            if self.heads:
                yolos = self.student.yolos, self.teacher_cfg.yolos
                terms = output_terms(raws, their_raws, self.heads, yolos, input_hw, targets)
                for name, weight in self.settings.outputs.items():
                    found[f"teacher_{name}"] = weight * terms[name]
            else:
                mine = class_logits(raws, self.student)
                theirs = class_logits(their_raws, self.teacher_cfg)
                weight = self.settings.outputs["classes"]
                soft = soft_target_loss(mine, theirs, self.settings.temperature)
                found["teacher_classes"] = weight * soft
        return found

    def told(self) -> dict[str, Any]:
        """For a record of what was done."""
        return self.settings.told()

    def _overhaul(
        self, maps: Mapping[int, Tensor], their_maps: Mapping[int, Tensor], own_loss: Tensor | None
    ) -> Tensor:
        assert self.connectors is not None
        mine = self.connectors([maps[pair.student.section] for pair in self.pairs])
        with torch.autocast(mine[0].device.type, enabled=False):
            targets = [not_half(their_maps[pair.teacher.section]).detach() for pair in self.pairs]
            if self.margins:
                targets = [
                    teacher_transform(target, margin)
                    for target, margin in zip(targets, self.margins, strict=True)
                ]
            loss = overhaul_loss(
                [not_half(x) for x in mine], targets, [pair.weight for pair in self.pairs],
                self.settings.partial,
            )  # fmt: skip
            return self._scale(loss, own_loss) * loss

    def _scale(self, loss: Tensor, own_loss: Tensor | None) -> Tensor:
        """So that the first batch's term is the stated share of the loss by the labels, or of 1;
        then it stays, in a checkpoint too."""
        assert self.connectors is not None
        scale = self.connectors.scale
        if not self._scaled and not float(scale):
            begun = mean_over_processes(float(loss.detach()), loss.device)
            own = 1.0 if own_loss is None else float(own_loss.detach())
            own = mean_over_processes(own, loss.device)
            scale.fill_(self.settings.overhaul * own / max(begun, 1e-12))
        self._scaled = True
        return scale


def require_measurable(
    teacher: Bundle, student: Cfg, settings: DistillSettings, n_images: int
) -> None:
    """Raises InputError where nothing of the two can be compared, where a margin can only be
    measured and the training images are too few, and for a temperature of no answers."""
    require_used_temperature(student, settings)
    if not settings.overhaul:
        return
    pairs = match_taps(student, teacher.cfg, settings.taps)
    if settings.margin and any(batchnorm_of(teacher, p.teacher.section) is None for p in pairs):
        _require_enough(n_images)


def require_used_temperature(student: Cfg, settings: DistillSettings) -> None:
    """Raises InputError for a temperature where no classifier learns answers."""
    detects = bool(student.heads)
    if settings.temperature != DistillSettings.temperature and (detects or not settings.outputs):
        raise InputError(
            f"--temperature {settings.temperature:g} softens the answers that a classifier learns "
            f"from: leave it out {'for a detector' if detects else 'or name --loss logits'}"
        )


def _require_enough(n_images: int) -> None:
    if n_images < MIN_IMAGES:
        raise InputError(
            f"{n_images} images are too few to measure margins from: expected {MIN_IMAGES} or more"
        )


def _margins(
    teacher: Bundle, pairs: Sequence[Pair], settings: DistillSettings, images: Images | None
) -> list[Tensor]:
    """float64 [C] of each pair, C of the teacher's map; none where there are to be none."""
    if not settings.margin:
        return []
    unknown = [p for p in pairs if batchnorm_of(teacher, p.teacher.section) is None]
    measured = _measured(teacher, unknown, settings, images) if unknown else {}
    found = []
    for pair in pairs:
        section = pair.teacher.section
        norm = batchnorm_of(teacher, section)
        if norm is None:
            found.append(measured[section])
        elif settings.position == "before":
            found.append(negative_mean(*norm))
        else:
            found.append(negative_response(*norm, _activation(teacher.cfg, section)))
    return found


def _measured(
    teacher: Bundle, pairs: Sequence[Pair], settings: DistillSettings, images: Images | None
) -> dict[int, Tensor]:
    sections = [pair.teacher.section for pair in pairs]
    if images is None:
        raise InputError(
            f"the margin of section {sections[0]} of the teacher {teacher.cfg.source} has to be "
            f"measured: {MIN_IMAGES} or more training images are needed"
        )
    network = network_of(teacher.cfg, teacher.weights)
    after = settings.position == "after"
    means = {
        section: NegativeMean(
            ACTIVATION_FUNCTIONS[_activation(teacher.cfg, section)] if after else lambda x: x
        )
        for section in sections
    }
    n_images = 0
    with torch.inference_mode():
        for batch in images():
            n_images += len(batch)
            _, found = network.forward_with_taps(batch, sections, before_activation=True)
            for section, values in found.items():
                means[section].add(values)
    _require_enough(n_images)
    return {section: mean.mean() for section, mean in means.items()}


def _activation(cfg: Cfg, section: int) -> str:
    name: str = getattr(cfg[section], "activation", "linear")
    return name


def _require_same_classes(student: Cfg, teacher: Cfg, settings: DistillSettings) -> None:
    """Raises InputError where two classifiers' answers cannot be compared."""
    require_same_channels(student, teacher)
    named = {name for name, _ in settings.losses} & {"objectness", "boxes"}
    if named:
        raise InputError(f"--loss {min(named)} is for detectors: a classifier has classes alone")
    values = [infer_shapes(cfg)[-1].values for cfg in (student, teacher)]
    if values[0] != values[1]:
        raise InputError(
            f"the student {student.source} has {values[0]} classes, the teacher {teacher.source} "
            f"{values[1]}: their outputs cannot be compared"
        )


def _require_same_kind(student: Cfg, teacher: Cfg) -> None:
    kinds = ["detector" if cfg.heads else "classifier" for cfg in (student, teacher)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"the student {student.source} is a {kinds[0]}, the teacher {teacher.source} a "
            f"{kinds[1]}: expected two of a kind"
        )
