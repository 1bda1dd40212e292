"""A backbone's numbers from elsewhere: the first sections of a network, trained on another task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.darknet_weights import read_darknet_backbone


@dataclass(frozen=True)
class Imported:
    """What came of an import. n_sections: how many sections, from the first on, were filled."""

    bundle: Bundle
    n_sections: int

    def __str__(self) -> str:
        cfg, last = self.bundle.cfg, self.n_sections - 1
        return f"sections 0 to {last} of {len(cfg)} filled, up to {cfg.where(last)}"


def import_backbone(bundle: Bundle, path: Path) -> Imported:
    """The bundle with its first sections' numbers from a Darknet file like darknet53.conv.74.

    Raises WeightsError where the file does not end between two sections of the cfg.
    """
    weights, n_sections = read_darknet_backbone(path, bundle.cfg)
    settings = {"file": path.name, "sections": n_sections}
    imported = bundle.then("import", settings, weights={**bundle.weights, **weights})
    return Imported(imported, n_sections)
