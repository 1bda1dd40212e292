"""What a teacher is asked, and how much its answers count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from yolo_slim.errors import InputError

OUTPUTS = ("objectness", "classes", "boxes")
"""Of a detector; 'logits' is all of them, and the classes of a classifier."""

LOSSES = ("overhaul", "logits", *OUTPUTS)

DEFAULT_WEIGHTS = {"overhaul": 0.5}
"""Of the others it is 1."""

BATCH_STATISTICS_FROM = 32
"""Images a batch from which a teacher's BatchNorm may normalise by the batch."""

Position = Literal["before", "after"]
Statistics = Literal["auto", "batch", "running"]
Losses = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class DistillSettings:
    """losses: name -> weight. That of 'overhaul' is the share of the loss by the labels that it
    begins with; the others are factors.

    taps: pairs of section numbers, student and teacher, in place of what is found.
    position: maps are compared before their activation or after it. margin: the teacher's are cut
    off below. partial: see overhaul.partial_l2. All three are as published by default.
    statistics: of the teacher's BatchNorms: its 'running' ones, or those of the 'batch' that it
    sees (Heo et al. found them better); 'auto' takes these from BATCH_STATISTICS_FROM images on.
    temperature: softens a classifier's answers (Hinton et al., 2015).
    """

    losses: Losses = (("logits", 1.0),)
    taps: tuple[tuple[int, int], ...] = ()
    position: Position = "before"
    margin: bool = True
    partial: bool = True
    statistics: Statistics = "auto"
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not self.losses:
            raise InputError("--loss names nothing: expected one or more of " + ", ".join(LOSSES))
        for name, weight in self.losses:
            if name not in LOSSES:
                raise InputError(f"--loss {name}: expected one or more of {', '.join(LOSSES)}")
            if not 0 <= weight < 1e6:
                raise InputError(f"--loss {name}={weight:g}: expected a weight of 0 to below 1e6")
        names = [name for name, _ in self.losses]
        if len(set(names)) < len(names) or ("logits" in names and set(names) & set(OUTPUTS)):
            raise InputError(f"--loss {','.join(names)}: a term is named twice")
        if not 0 < self.temperature <= 100:
            raise InputError(f"--temperature {self.temperature:g}: expected above 0, to 100")

    @property
    def overhaul(self) -> float:
        return dict(self.losses).get("overhaul", 0.0)

    @property
    def outputs(self) -> dict[str, float]:
        """Weight of each of OUTPUTS that counts."""
        named = dict(self.losses)
        whole = named.get("logits", 0.0)
        found = {name: named.get(name, whole) for name in OUTPUTS}
        return {name: weight for name, weight in found.items() if weight}

    def batch_statistics(self, batch_size: int) -> bool:
        """Whether a teacher that sees batches of this size normalises by them."""
        if self.statistics == "auto":
            return batch_size >= BATCH_STATISTICS_FROM
        return self.statistics == "batch"

    def told(self) -> dict[str, Any]:
        """What differs from the default, and the losses, for a record."""
        changed: dict[str, Any] = {
            "loss": ",".join(f"{name}={weight:g}" for name, weight in self.losses)
        }
        default = DistillSettings()
        for name in ("position", "margin", "partial", "statistics", "temperature"):
            if getattr(self, name) != getattr(default, name):
                option = "teacher_statistics" if name == "statistics" else name
                changed[option] = getattr(self, name)
        if self.taps:
            changed["taps"] = ",".join(f"{mine}:{theirs}" for mine, theirs in self.taps)
        return changed


def read_losses(text: str) -> Losses:
    """'overhaul,logits=0.5' -> (('overhaul', 0.5), ('logits', 0.5)).

    Raises InputError for a weight that is no number; names are looked at by DistillSettings.
    """
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, weight = word.partition("=")
        try:
            found.append((name, float(weight) if equals else DEFAULT_WEIGHTS.get(name, 1.0)))
        except ValueError:
            raise InputError(f"--loss {word}: expected NAME=NUMBER, found {weight!r}") from None
    return tuple(found)


def read_taps(text: str) -> tuple[tuple[int, int], ...]:
    """'36:61,61:79' -> ((36, 61), (61, 79)): sections of the student and of the teacher."""
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        numbers = word.split(":")
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() for n in numbers):
            raise InputError(
                f"--taps {word}: expected STUDENT:TEACHER, two numbers of sections, with commas "
                "between pairs"
            )
        found.append((int(numbers[0]), int(numbers[1])))
    return tuple(found)
