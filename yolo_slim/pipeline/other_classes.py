"""A detector for other classes than it was trained on: the start of a fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, with_classes
from yolo_slim.class_names import are_known, class_key
from yolo_slim.errors import InputError
from yolo_slim.pipeline.same_classes import same_names
from yolo_slim.weights import random_weights


def is_for(bundle: Bundle, class_names: Sequence[str]) -> bool:
    """Whether the classes of a detector are these, in this order; of classes without names the
    number alone is compared."""
    if are_known(bundle.class_names) and are_known(class_names):
        return same_names(bundle.class_names, class_names)
    return bundle.cfg.n_classes == len(class_names)


def for_classes(bundle: Bundle, class_names: Sequence[str], seed: int = 0) -> tuple[Bundle, str]:
    """The detector with one output for each of `class_names`, and a sentence on what was kept.

    Of each head's last convolution the rows of x, y, w, h and objectness are kept. The row of a
    class is that of the class of the same name (see class_key); without one it starts anew, as
    in an untrained network.

    Raises InputError for heads that do not read a convolution with a kernel and bias of its own,
    and for an INT8 plan, whose ranges are those of the old rows.
    """
    if bundle.precision is not None:
        raise InputError(
            f"{bundle.cfg.source} is quantized, and other classes need other ranges: train the "
            "float bundle that it was made of, then quantize"
        )
    _require_own_biases(bundle.cfg)
    names = tuple(class_names)
    new_cfg = with_classes(bundle.cfg, len(names))
    old_of = {class_key(name): k for k, name in enumerate(bundle.class_names)}
    same = [(new, old_of[class_key(name)]) for new, name in enumerate(names)
            if class_key(name) in old_of]  # fmt: skip
    fresh = random_weights(new_cfg, seed)
    weights = dict(bundle.weights)
    for head, yolo in zip(bundle.cfg.head_indices, bundle.cfg.yolos, strict=True):
        index, n_anchors = head - 1, len(yolo.mask)
        for name in ("conv.weight", "conv.bias"):
            key = f"{index}.{name}"
            old = weights[key].view(n_anchors, 5 + yolo.classes, *weights[key].shape[1:])
            new = fresh[key].to(old.dtype)
            new = new.view(n_anchors, 5 + len(names), *new.shape[1:])
            new[:, :5] = old[:, :5]
            for row, old_row in same:
                new[:, 5 + row] = old[:, 5 + old_row]
            weights[key] = new.flatten(0, 1)
    kept = ", ".join(names[new] for new, _ in same) or "none"
    n_old = bundle.cfg.n_classes
    become = f"{n_old} classes become {len(names)}"
    if n_old == len(names):
        become = f"the {n_old} classes are others, or in another order"
    told = f"{become}: boxes and objectness are kept, and by their names these classes: {kept}"
    result = {"from": n_old, "to": len(names), "kept": [names[n] for n, _ in same]}
    changed = bundle.then(
        "for_classes", {}, cfg=new_cfg, weights=weights, class_names=names, result=result
    )
    return changed, told


def _require_own_biases(cfg: Cfg) -> None:
    cfg.require_yolos()
    shared = {s.share_index for s in cfg if isinstance(s, Conv)}
    for index in sorted(cfg.head_convs):
        section = cfg[index]
        if not isinstance(section, Conv):
            continue  # with_classes tells
        if section.share_index is not None or index in shared:
            raise InputError(
                f"{cfg.where(index)} shares its kernel (share_index): expected one of its own "
                "before [yolo]"
            )
        if section.batch_normalize:
            raise InputError(f"{cfg.where(index)} has a BatchNorm: expected a bias before [yolo]")
