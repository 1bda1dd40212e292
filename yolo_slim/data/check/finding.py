"""What a check has found: a value, and the table of everything that can be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yolo_slim.findings import Kind, Severity

# fault: this package refuses the data, or every score on it is wrong. warning: probably a mistake,
# and the data can be used. note: worth knowing.
KINDS: dict[str, Kind] = {
    # What the annotations say, before any picture is opened.
    "bad category": Kind("fault", "Give each category a whole number of its own as id."),
    "bad image entry": Kind("fault", "Give it a file_name, an id of its own, whole sizes."),
    "bad annotation": Kind("fault", "Repair the entry or take it out of the annotations."),
    "names do not fit": Kind("fault", "Give one name for each category, or no names."),
    "classes differ": Kind("fault", "Give both splits the same categories with the same ids."),
    # Pictures.
    "missing image": Kind("fault", "Copy the file there, or take its entry out."),
    "unreadable image": Kind("fault", "Fetch or export the picture again, or take it out."),
    "other size": Kind("fault", "Save the picture as it was annotated, or annotate it again."),
    "turned by EXIF": Kind(
        "warning", "See that the boxes fit the stored pixels: no reader here turns the picture."
    ),
    "other format than its name": Kind(
        "warning", "Rename it: this package goes by the content, others by the name."
    ),
    "invalid EXIF orientation": Kind("note", "Harmless: every reader leaves the picture as it is."),
    "grey": Kind("note", "Nothing: it is read as three equal channels."),
    "palette": Kind("note", "Nothing: colours are looked up when it is read."),
    "transparency": Kind("note", "See what lies below transparent pixels: that is what is read."),
    "16 bits": Kind(
        "note", "Nothing, unless the upper 8 bits are too coarse for what you look for."
    ),
    "CMYK": Kind("note", "Save it as RGB: the conversion to RGB differs between readers."),
    # Pictures that are there twice.
    "leak": Kind("fault", "Take the picture out of one split: its score is learnt by heart."),
    "near leak": Kind("warning", "Look at both; take one out where they show the same scene."),
    "duplicate picture": Kind("warning", "Take one out, or put both annotations into one entry."),
    "near-duplicate picture": Kind("note", "Keep such pictures in one split."),
    # Boxes.
    "flat box": Kind("warning", "Draw it again or take it out: readers leave it out."),
    "box outside": Kind("fault", "Draw it again: no detector can find it, each score counts it."),
    "box over the border": Kind("warning", "Cut it at the border; training does so too."),
    "tiny box": Kind("warning", "Train at a larger size, or cut pictures into tiles."),
    "duplicate box": Kind("warning", "Take one out: only one of them can be found."),
    "two classes in one place": Kind("note", "See which class is meant."),
    # Classes and splits.
    "class without boxes": Kind("warning", "Annotate some, or drop the class."),
    "imbalance": Kind("note", "Expect less of the rare class, or collect more of it."),
    "image without boxes": Kind("note", "Nothing if it shows background; else annotate it."),
    "reader's note": Kind("note", "See what the reader of these annotations has left out."),
}


@dataclass(frozen=True)
class Finding:
    """One thing found.

    kind: a key of KINDS. split: 'train', 'val', or 'data' where there is but one set.
    found: what was found, and what was expected. file: the picture as the annotations call it.
    annotation: position in the list of annotations, from 0.
    twin: (split, file) of the other picture, where two look alike.

    Raises ValueError for a kind that is not in the table.
    """

    kind: str
    split: str
    found: str
    file: str | None = None
    annotation: int | None = None
    twin: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is not in KINDS")

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity

    @property
    def advice(self) -> str:
        return KINDS[self.kind].advice

    def where(self) -> str:
        """
        >>> Finding("flat box", "train", "no width", "a.jpg", 7).where()
        'train: a.jpg, annotation 7'
        """
        place = self.file or ""
        if self.annotation is not None:
            place += f"{', ' if place else ''}annotation {self.annotation}"
        return f"{self.split}: {place}" if place else self.split

    def document(self) -> dict[str, Any]:
        """What --json writes of it."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "split": self.split,
            "file": self.file,
            "annotation": self.annotation,
            "twin": dict(zip(("split", "file"), self.twin, strict=True)) if self.twin else None,
            "found": self.found,
            "advice": self.advice,
        }
