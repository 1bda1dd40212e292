"""Networks by name: functions that return a Cfg.

A classifier's name (darknet53) is that of its paper; a detector's is that of its heads and of its
backbone: yolov3-darknet19, yolov3-spp-darknet19, yolov3-tiny-darknet19, yolov3-lite-darknet19.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from yolo_slim.cfg import Cfg, Net, Section, resize, verify
from yolo_slim.cfg.limits import require_class_count
from yolo_slim.errors import InputError
from yolo_slim.zoo import (
    darknet,
    densenet,
    efficientnet,
    ghostnet,
    mnasnet,
    mobilenet,
    resnet,
    shufflenet,
    tinynet,
    vgg,
)
from yolo_slim.zoo.heads import lite_heads, tiny_heads, yolov3_heads
from yolo_slim.zoo.trunk import Classifier

__all__ = [
    "backbone_name",
    "build",
    "classifier",
    "classifiers",
    "detectors",
    "find_classifier",
    "names",
    "near_names",
]

_CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    **darknet.CLASSIFIERS,
    **resnet.CLASSIFIERS,
    **vgg.CLASSIFIERS,
    **densenet.CLASSIFIERS,
    **mobilenet.CLASSIFIERS,
    **mnasnet.CLASSIFIERS,
    **shufflenet.CLASSIFIERS,
    **efficientnet.CLASSIFIERS,
    **tinynet.CLASSIFIERS,
    **ghostnet.CLASSIFIERS,
}

_DETECTORS: dict[str, Callable[[int], tuple[Section, ...]]] = {
    "yolov3": lambda classes: yolov3_heads(darknet.darknet(darknet.DARKNET53), classes),
    "yolov3-spp": lambda classes: yolov3_heads(
        darknet.darknet(darknet.DARKNET53), classes, spp=True
    ),
    "yolov3-tiny": lambda classes: tiny_heads(darknet.darknet_tiny(), classes),
    # Ours, for small pictures: a quarter of YOLOv3's width, and neither stage nor head of stride
    # 32, whose cells would be larger than the objects.
    "yolov3-nano": lambda classes: yolov3_heads(
        darknet.darknet((1, 1, 2, 2), 0.25), classes, width=0.125, depth=2
    ),
}

# Longest prefix first: yolov3-tiny-X is no yolov3 on a backbone tiny-X.
_HEADS: dict[str, Callable[[Classifier, int], tuple[Section, ...]]] = {
    "yolov3-tiny-": lambda found, classes: tiny_heads(found.backbone(), classes),
    "yolov3-lite-": lambda found, classes: lite_heads(found.backbone(), classes),
    "yolov3-spp-": lambda found, classes: yolov3_heads(found.backbone(), classes, spp=True),
    "yolov3-": lambda found, classes: yolov3_heads(found.backbone(), classes),
}


def classifiers() -> tuple[str, ...]:
    """Names of the classifiers that `build` knows."""
    return tuple(_CLASSIFIERS)


def detectors() -> tuple[str, ...]:
    """Names of the detectors that `build` knows."""
    backbones = [name for name in _CLASSIFIERS if classifier(name).stages]
    return (*_DETECTORS, *(prefix + name for prefix in reversed(_HEADS) for name in backbones))


def names() -> tuple[str, ...]:
    """All names that `build` knows."""
    return detectors() + classifiers()


def classifier(name: str, classes: int = 1000) -> Classifier:
    """The classifier of that name in its parts. Raises InputError for an unknown name."""
    if name not in _CLASSIFIERS:
        raise _unknown(name)
    return _CLASSIFIERS[name](classes)


def backbone_name(name: str) -> str | None:
    """The classifier that a detector of the zoo takes its backbone from; None if it has its own."""
    if name in _DETECTORS:
        return None
    for prefix in _HEADS:
        if name.startswith(prefix) and name.removeprefix(prefix) in _CLASSIFIERS:
            return name.removeprefix(prefix)
    return None


def find_classifier(cfg: Cfg) -> str | None:
    """The classifier of the zoo that `cfg` begins with, as a whole or without its top; keys that
    compute nothing do not count."""
    sections = tuple(section.without_extras() for section in cfg)
    for name in _CLASSIFIERS:
        trunk = classifier(name).trunk
        if sections[: len(trunk)] == tuple(section.without_extras() for section in trunk):
            return name
    return None


def build(name: str, classes: int | None = None, size_px: int | None = None) -> Cfg:
    """The network of that name for a square input.

    classes: 80 for a detector and 1000 for a classifier, if not given. size_px: 416 for a
    detector, what it was published with for a classifier.

    Raises InputError for an unknown name, and for a number of classes that is none.
    """
    if classes is not None:
        require_class_count(classes)
    if name in _CLASSIFIERS:
        cfg = classifier(name, 1000 if classes is None else classes).cfg(name)
    else:
        cfg = Cfg(Net(), _sections(name, 80 if classes is None else classes), source=name)
        verify(cfg)
    return cfg if size_px is None else resize(cfg, size_px, size_px)


def _sections(name: str, classes: int) -> tuple[Section, ...]:
    if name in _DETECTORS:
        return _DETECTORS[name](classes)
    backbone = backbone_name(name)
    if backbone is None or not (found := classifier(backbone)).stages:
        raise _unknown(name)
    return _HEADS[name.removesuffix(backbone)](found, classes)


def near_names(name: str) -> str:
    """What to say after a name that is none: the nearest ones, or a full stop."""
    near = difflib.get_close_matches(name, names(), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "."


def _unknown(name: str) -> InputError:
    return InputError(f"{name!r} is not in the zoo{near_names(name)} `yolo-slim zoo` lists them")
