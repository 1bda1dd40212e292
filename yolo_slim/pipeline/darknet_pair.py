"""A bundle as the two files that Darknet, OpenCV and others read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import DARKNET_ACTIVATIONS, Cfg, render
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.weights import Weights

Reader = Literal["darknet", "opencv"]

BN_EPS: dict[Reader, float] = {"darknet": 1e-5, "opencv": 1e-6}
"""What each reader adds to a variance before it takes the square root."""


def write_darknet_pair(
    bundle: Bundle, stem: Path, reader: Reader = "darknet", allow_extensions: bool = False
) -> tuple[Path, Path]:
    """Writes STEM.cfg and STEM.weights and returns their paths.

    Statistics are shifted by the difference of the epsilons, so that `reader`, which knows no
    bn_eps, computes what the bundle does; the written cfg names the reader's epsilon.

    allow_extensions: write also what Darknet does not know, for readers that do.

    Raises InputError for what the two formats cannot say: an INT8 plan, a normalisation of the
    input other than 0..1, and sections and activations of this package's own.
    """
    if bundle.precision is not None:
        raise InputError("a Darknet pair has no place for INT8 ranges: convert the float bundle")
    unknown = extensions(bundle.cfg)
    more = f" (and {len(unknown) - 1} more places)" if len(unknown) > 1 else ""
    if unknown and not allow_extensions:
        raise InputError(
            f"{unknown[0]}{more}: Darknet does not know it and would compute something else; "
            "--allow-extensions writes the pair all the same"
        )
    cfg = replace(bundle.cfg, net=replace(bundle.cfg.net, bn_eps=BN_EPS[reader]))
    weights = shift_epsilon(bundle.weights, bundle.cfg.net.bn_eps, BN_EPS[reader])
    cfg_path, weights_path = pair_paths(stem)
    with whole_file(cfg_path) as temporary:
        temporary.write_text(render(cfg), encoding="utf-8")
    write_darknet_weights(weights_path, cfg, weights)
    return cfg_path, weights_path


def pair_paths(stem: Path) -> tuple[Path, Path]:
    """STEM.cfg and STEM.weights. Raises InputError for a stem without a name, such as ''."""
    if stem.name in ("", ".."):
        raise InputError(f"'{stem}' names no file: expected e.g. FOLDER/NAME for FOLDER/NAME.cfg")
    return stem.with_name(f"{stem.name}.cfg"), stem.with_name(f"{stem.name}.weights")


def extensions(cfg: Cfg) -> list[str]:
    """What in a cfg is this package's own, place by place."""
    found = []
    if cfg.net.mean or cfg.net.std:
        found.append(f"{cfg.where(-1)} mean and std")
    for index, section in enumerate(cfg):
        activation = getattr(section, "activation", "linear")
        if section.is_extension:
            found.append(f"{cfg.where(index)}")
        elif activation not in DARKNET_ACTIVATIONS:
            found.append(f"{cfg.where(index)} activation={activation}")
    return found


def shift_epsilon(weights: Weights, bn_eps: float, reader_eps: float) -> Weights:
    """Statistics with which sqrt(var' + reader_eps) / gamma' is sqrt(var + bn_eps) / gamma.

    The variance takes the difference; where it would fall below 0 it is 0 and gamma takes the rest.
    """
    if bn_eps == reader_eps:
        return weights
    shifted = dict(weights)
    for key in weights:
        if not key.endswith("bn.running_var"):
            continue
        wanted = weights[key].double() + bn_eps
        var = (wanted - reader_eps).clamp(min=0)
        gamma_key = key.replace("running_var", "weight")
        gamma = weights[gamma_key].double() * torch.sqrt((var + reader_eps) / wanted)
        shifted[key], shifted[gamma_key] = var.to(weights[key]), gamma.to(weights[key])
    return shifted
