"""The document: [net], and the list of the sections after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from yolo_slim.cfg.heads import Head, Yolo
from yolo_slim.cfg.sections import IMAGE, Net, Section
from yolo_slim.errors import CfgError


@dataclass(frozen=True)
class Cfg:
    """A network as a document. Everything that is asked about the architecture is asked of it.

    notes: what its reader should know about the file: read as Darknet reads it, hardly meant so.

    >>> from yolo_slim.cfg import parse
    >>> cfg = parse("[net]\\nwidth=32\\nheight=32\\n[convolutional]\\nfilters=8\\nsize=1\\n")
    >>> cfg[0].filters
    8
    """

    net: Net
    sections: tuple[Section, ...]
    source: str = field(default="<cfg>", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.sections)

    def __iter__(self) -> Iterator[Section]:
        return iter(self.sections)

    def __getitem__(self, index: int) -> Section:
        return self.sections[index]

    def where(self, index: int) -> str:
        """'file:line [kind]' of a section, for messages; 'section N' if it was not read."""
        section = self.net if index == IMAGE else self.sections[index]
        place = self.source
        if section.line:
            place += f":{section.line}"
        elif index != IMAGE:
            place += f" section {index}"
        return f"{place} [{section.kind}]"

    def links(self, index: int) -> tuple[int, ...]:
        return self.sections[index].links(index)

    @property
    def head_indices(self) -> tuple[int, ...]:
        return tuple(i for i, s in enumerate(self.sections) if isinstance(s, Head))

    @property
    def heads(self) -> tuple[Head, ...]:
        return tuple(s for s in self.sections if isinstance(s, Head))

    @property
    def output_indices(self) -> tuple[int, ...]:
        """Sections whose output is the network's: the heads, or the last one without any."""
        return self.head_indices or (len(self) - 1,)

    @property
    def head_convs(self) -> frozenset[int]:
        """Indices of the sections whose output a head reads."""
        return frozenset(link for index in self.head_indices for link in self.links(index))

    @property
    def yolos(self) -> tuple[Yolo, ...]:
        """The heads of a detector that can be trained; raises as require_yolos does."""
        self.require_yolos()
        return tuple(s for s in self.sections if isinstance(s, Yolo))

    def require_yolos(self) -> None:
        """Raises CfgError where there is no head, or one of another kind than [yolo]."""
        if not self.heads:
            raise CfgError(f"{self.source} has no [yolo] section: it is no detector")
        for index in self.head_indices:
            if type(self[index]) is not Yolo:
                raise CfgError(
                    f"{self.where(index)}: expected [yolo] heads alone; others can be evaluated, "
                    "pruned and exported, not trained"
                )

    @property
    def n_classes(self) -> int:
        """Classes of the detector; 0 where there is no head."""
        return self.heads[0].classes if self.heads else 0

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.net.height, self.net.width

    @property
    def resize_mode(self) -> Literal["letterbox", "stretch"]:
        """How an image becomes an input: 'letterbox' or 'stretch'."""
        return "letterbox" if self.net.letter_box else "stretch"
