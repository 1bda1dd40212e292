"""A bundle as the two files that Darknet, OpenCV and others read."""

from __future__ import annotations

from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file


def write_darknet_pair(bundle: Bundle, stem: Path) -> tuple[Path, Path]:
    """Writes STEM.cfg and STEM.weights and returns their paths.

    Raises InputError for what the two formats cannot say: an INT8 plan, or a normalisation of the
    input other than 0..1.
    """
    if bundle.precision is not None:
        raise InputError("a Darknet pair has no place for INT8 ranges: convert the float bundle")
    if bundle.cfg.net.mean or bundle.cfg.net.std:
        raise InputError("Darknet knows no input mean and std: it would compute something else")
    cfg_path, weights_path = (stem.with_name(stem.name + end) for end in (".cfg", ".weights"))
    with whole_file(cfg_path) as temporary:
        temporary.write_text(render(bundle.cfg))
    write_darknet_weights(weights_path, bundle.cfg, bundle.weights)
    return cfg_path, weights_path
