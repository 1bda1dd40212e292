"""A detector is a document plus numbers: what every compression step takes and returns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from yolo_slim.cfg import IMAGE, Batchnorm, Cfg, Connected, Conv, read_cfg, render
from yolo_slim.errors import BundleError, InputError
from yolo_slim.files import whole_folder
from yolo_slim.precision import Precision
from yolo_slim.weights import Weights, check_weights

FILES = CFG, WEIGHTS, PRECISION, NAMES, HISTORY = (
    "model.cfg", "model.safetensors", "precision.json", "names.txt", "history.json",
)  # fmt: skip

BUNDLE_IN_RUN = "bundle"
"""Where a training, or a step of a pipeline, leaves its result in its folder."""


@dataclass(frozen=True)
class Event:
    """One thing that was done to a bundle: the verb, its settings, what came of it."""

    verb: str
    settings: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A detector.

    cfg: the architecture. weights: see `weights.expected_shapes`. precision: the INT8 plan, None
    before quantization. history: what was done, oldest first. class_names: empty if unknown.
    """

    cfg: Cfg
    weights: Weights
    precision: Precision | None = None
    history: tuple[Event, ...] = ()
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n_classes = self.cfg.n_classes
        if self.class_names and n_classes and len(self.class_names) != n_classes:
            raise BundleError(
                f"{self.cfg.source} has classes={n_classes}, {len(self.class_names)} names given: "
                "expected one a class, in --names or a bundle's names.txt, a line each"
            )
        for number, name in enumerate(self.class_names):
            if len(name.strip().splitlines()) != 1:
                raise BundleError(
                    f"{self.cfg.source}: class {number} is called {name!r}, expected a line of text"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, 'class 0', 'class 1'... where they are unknown."""
        return self.class_names or tuple(f"class {k}" for k in range(self.cfg.n_classes))

    @property
    def is_folded(self) -> bool:
        """Whether BatchNorms have been folded into kernels: there is no gamma left to judge by."""
        normed = any(
            isinstance(s, Batchnorm) or (isinstance(s, Conv | Connected) and s.batch_normalize)
            for s in self.cfg
        )
        return not normed or any(event.verb == "fold" for event in self.history)

    @property
    def was_zeroed(self) -> bool:
        """Whether zeros were put into its kernels on purpose: they are to stay."""
        return any(event.verb == "zero" for event in self.history)

    def require_batchnorm(self, verb: str) -> None:
        """Raises InputError where there is no gamma left to work on."""
        if self.is_folded:
            raise InputError(
                f"{verb} needs BatchNorm, and {self.cfg.source} has none left (folded or "
                f"quantized): {verb} the bundle from before that step"
            )

    def then(self, verb: str, settings: dict[str, Any], **changes: Any) -> Bundle:
        """This bundle with `changes` and one more event in its history."""
        result = changes.pop("result", {})
        return replace(self, history=(*self.history, Event(verb, settings, result)), **changes)

    def save(self, path: Path) -> None:
        """Writes the bundle as a folder, whole or not at all; replaces a bundle, nothing else.

        Raises BundleError where `path` holds something that is not a bundle.
        """
        require_replaceable(path)
        with whole_folder(path) as folder:
            (folder / CFG).write_text(render(self.cfg), encoding="utf-8")
            save_file({k: v.contiguous() for k, v in self.weights.items()}, folder / WEIGHTS)
            if self.precision is not None:
                (folder / PRECISION).write_text(self.precision.to_json(), encoding="utf-8")
            if self.class_names:
                names = "".join(f"{name}\n" for name in self.class_names)
                (folder / NAMES).write_text(names, encoding="utf-8")
            events = [asdict(event) for event in self.history]
            (folder / HISTORY).write_text(json.dumps(events, indent=1), encoding="utf-8")


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle folder. Nothing in it is unpickled or executed.

    Raises BundleError, CfgError or WeightsError, naming the file.
    """
    for name in (CFG, WEIGHTS):
        if not (path / name).is_file():
            raise BundleError(f"{path} is no bundle: it has no {name}")
    cfg = replace(read_cfg(path / CFG), source=str(path / CFG))  # every bundle's has one name
    try:
        weights = load_file(path / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleError(f"{path / WEIGHTS}: not a safetensors file ({error})") from None
    check_weights(cfg, weights, str(path / WEIGHTS))
    precision = None
    if (path / PRECISION).is_file():
        precision = Precision.from_json(_text(path / PRECISION), str(path / PRECISION))
        _check_precision(cfg, precision, str(path / PRECISION))
    history = _read_history(path / HISTORY)
    if precision is None and any(event.verb == "quantize" for event in history):
        raise BundleError(
            f"{path / PRECISION} is not there, and the model was quantized: quantize it again"
        )
    return Bundle(cfg, weights, precision, history, read_names(path / NAMES))


def read_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line; empty where there is no such file."""
    if not path.is_file():
        return ()
    # A blank line within stays, and a bundle refuses it: without it later classes would move up.
    return tuple(line.strip() for line in _text(path).rstrip().splitlines())


def is_bundle(path: Path) -> bool:
    return (path / CFG).is_file() and (path / WEIGHTS).is_file()


def bundle_folder(path: Path) -> Path:
    """The bundle in the folder of a run; `path` itself where it is a bundle, or holds none."""
    inner = path / BUNDLE_IN_RUN
    return inner if not is_bundle(path) and is_bundle(inner) else path


def require_replaceable(path: Path) -> None:
    """Raises BundleError where something would be lost: where there is neither nothing, nor an
    empty folder, nor a folder with a bundle's files alone."""
    files = {CFG, WEIGHTS, PRECISION, NAMES, HISTORY}
    if path.exists() and not (path.is_dir() and {p.name for p in path.iterdir()} <= files):
        raise BundleError(
            f"{path} exists and is no bundle: nothing was written; choose another --out"
        )


def _check_precision(cfg: Cfg, precision: Precision, source: str) -> None:
    """Raises BundleError for an INT8 plan of sections that `cfg` does not have so."""
    fault = next(_precision_faults(cfg, precision), None)
    if fault:
        raise BundleError(f"{source}: {fault}: quantize the model again")


def _precision_faults(cfg: Cfg, precision: Precision) -> Iterator[str]:
    places = range(len(cfg))
    for index in precision.outputs:
        if index not in places:
            yield f"outputs has section {index}, {cfg.source} has 0 to {places[-1]}"
    for index in (*precision.convs, *precision.kept):
        if index not in places or not isinstance(cfg[index], Conv):
            yield f"section {index} of {cfg.source} is no [convolutional]"
    for index, conv in precision.convs.items():
        for fault in _conv_faults(cfg, index, conv.weight_scales):
            yield f"{cfg.where(index)} {fault}"
        for link in cfg.links(index):
            if link != IMAGE and link not in precision.outputs:
                yield f"{cfg.where(index)} reads section {link}, which has no range in outputs"


def _conv_faults(cfg: Cfg, index: int, weight_scales: tuple[float, ...]) -> Iterator[str]:
    section = cfg[index]
    assert isinstance(section, Conv)
    if section.share_index is not None:
        yield "shares its kernel (share_index), which runs in float: expected no weight_scales"
    if len(weight_scales) != section.filters:
        yield f"has {section.filters} filters and {len(weight_scales)} weight_scales"
    if not all(0 < scale < math.inf for scale in weight_scales):
        yield "weight_scales: expected positive numbers"


def _read_history(path: Path) -> tuple[Event, ...]:
    if not path.is_file():
        return ()
    try:
        return tuple(Event(**event) for event in json.loads(_text(path)))
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path}: not a history ({error})") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from None
