"""A plan done: the bundle of the factors, and what became of each section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, Conv
from yolo_slim.errors import InputError
from yolo_slim.factorize.factors import Factors, factor, factor_on_images
from yolo_slim.factorize.front import front_of
from yolo_slim.factorize.judge import Judge
from yolo_slim.factorize.moments import Calibration, Progress, look, silent
from yolo_slim.factorize.plan import Plan
from yolo_slim.factorize.regression import Regression
from yolo_slim.factorize.sites import Ranks, Site
from yolo_slim.factorize.spectrum import decompose
from yolo_slim.weights import Weights, renumbered

MAX_SUMS_BYTES = 1 << 30
"""What the sums of one pass over the images may take."""


@dataclass(frozen=True)
class Row:
    """What becomes of one section.

    kind: '3x3', 'connected'... into: its factors; '' where it stays whole, for the reason `whole`.
    read, written: its ranks, None where there is none. energy: the share of its energy that the
    factors keep, 0 to 1; None of a whole section. macs_before, macs_after: for one image.
    """

    section: int
    kind: str
    into: str
    read: int | None
    written: int | None
    energy: float | None
    macs_before: int
    macs_after: int
    whole: str = ""


@dataclass(frozen=True)
class Factorized:
    """rows: one a convolution or [connected] section, in the order of the cfg."""

    bundle: Bundle
    rows: tuple[Row, ...]
    plan: Plan


def factorize(judge: Judge, plan: Plan, progress: Progress = silent) -> Factorized:
    """The bundle with the factors of a plan in the place of its sections; what else there is, bit
    for bit, under its section's new place.

    plan: of the bundle of `judge`, by whom it need not be made. Raises InputError for a section
    that this judge finds nothing to choose from in.
    """
    for index in plan.ranks:
        if index not in judge.judged:
            raise InputError(
                f"section {index} of {judge.bundle.cfg.source} is in the plan, and no ranks of "
                f"--multiple {judge.multiple} cost less there: judge it as the plan's judge did"
            )
    bundle, factors = judge.bundle, dict(_by_images(judge, plan, progress))
    with progress("factors") as advance:
        for index, ranks in plan.ranks.items():
            if index not in factors:
                factors[index] = _by_spectrum(judge, index, ranks)
            advance(len(factors), len(plan.ranks))
    settings = {"method": judge.method, "multiple": judge.multiple, **plan.asked}
    if judge.shown is not None:
        settings["images"] = judge.shown.n_images
    done = bundle.then(
        "factorize", settings, cfg=plan.written[0], weights=_weights(bundle, plan, factors),
        result={"sections": len(plan.ranks)},
    )  # fmt: skip
    rows = tuple(_row(site, plan, factors.get(site.index)) for site in judge.sites)
    return Factorized(done, rows, plan)


def _by_spectrum(judge: Judge, index: int, ranks: Ranks) -> Factors:
    judged = judge.judged[index]
    return factor(judged.kernel, judged.scale, judged.spectrum, ranks, judge.moments.get(index))


def _by_images(judge: Judge, plan: Plan, progress: Progress) -> Iterator[tuple[int, Factors]]:
    """The factors of all kernels with a convolution in front, fitted to what images show behind it.

    Each is fitted behind the front that the images choose and behind that of the weights, and the
    better one is taken: so images never do worse than weights.
    """
    if judge.shown is None:
        return
    groups = _groups(judge, plan)
    for number, group in enumerate(groups, start=1):
        seen = {index: _fronts(judge, index, plan.ranks[index]) for index in group}
        part = f" {number} of {len(groups)}" if len(groups) > 1 else ""
        with progress(f"what is left to read{part}") as advance:
            _look_behind(judge.bundle, seen, judge.shown, advance)
        for index, regressions in seen.items():
            judged, ranks = judge.judged[index], plan.ranks[index]
            yield (
                index,
                max(
                    (
                        factor_on_images(
                            judged.kernel, judged.scale, ranks, judge.moments[index], r
                        )
                        for r in regressions
                    ),
                    key=lambda found: found.kept,
                ),
            )


def _groups(judge: Judge, plan: Plan) -> list[list[int]]:
    """The sections with something in front whose sums fit into memory together."""
    groups: list[list[int]] = [[]]
    size = 0
    for index, ranks in plan.ranks.items():
        if ranks.read is None or index not in judge.moments:
            continue
        site = judge.judged[index].site
        mine = 2 * Regression.bytes_for(ranks.read, site.area, site.filters)
        if groups[-1] and size + mine > MAX_SUMS_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(index)
        size += mine
    return [group for group in groups if group]


def _fronts(judge: Judge, index: int, ranks: Ranks) -> list[Regression]:
    judged = judge.judged[index]
    kernel, scale = judged.kernel, judged.scale
    by_images = front_of(kernel, scale, judged.spectrum, ranks, judge.moments[index])
    by_weights = front_of(kernel, scale, decompose(kernel, scale), ranks)
    return [Regression(by_images), Regression(by_weights)]


def _look_behind(
    bundle: Bundle, seen: Mapping[int, list[Regression]], shown: Calibration,
    advance: Callable[[int, int], None],
) -> None:  # fmt: skip
    def receive(index: int, x: Tensor, y: Tensor) -> None:
        for regression in seen[index]:
            regression.add(x, y)

    look(bundle, list(seen), shown, receive, advance)


def _weights(bundle: Bundle, plan: Plan, factors: Mapping[int, Factors]) -> Weights:
    """The tensors of the factors, and all others under their new keys."""
    _, moved = plan.written
    weights = renumbered(bundle.weights, moved)
    for index, found in factors.items():
        _put(weights, bundle, index, moved[index], found)
    return weights


def _put(weights: Weights, bundle: Bundle, index: int, last: int, factors: Factors) -> None:
    """Writes the factors of a section to the places up to `last`, where its own tensors lie."""
    section = bundle.cfg[index]
    name = "connected" if isinstance(section, Connected) else "conv"
    like = bundle.weights[f"{index}.{name}.weight"]
    kernels = [k for k in (factors.front, factors.core, factors.back) if k is not None]
    for place, kernel in enumerate(kernels, start=last - len(kernels) + 1):
        shape = kernel.shape[:2]
        if isinstance(section, Conv):
            shape += (section.size if kernel is factors.core else 1,) * 2
        weights[f"{place}.{name}.weight"] = kernel.reshape(shape).to(like).contiguous()
        if place < last:
            weights[f"{place}.{name}.bias"] = torch.zeros(len(kernel), dtype=like.dtype)
    if factors.shift is not None:
        _shift(weights, last, name, factors.shift)


def _shift(weights: Weights, last: int, name: str, shift: Tensor) -> None:
    """Adds what is lacking of the mean to the bias, or takes it off the running mean."""
    key = f"{last}.bn.running_mean"
    if key in weights:
        weights[key] = (weights[key].double() - shift).to(weights[key])
    else:
        key = f"{last}.{name}.bias"
        weights[key] = (weights[key].double() + shift).to(weights[key])


def _row(site: Site, plan: Plan, factors: Factors | None) -> Row:
    if factors is None:
        return Row(
            site.index, site.kind, "", None, None, None, site.macs, site.macs,
            plan.whole.get(site.index, "not asked for"),
        )  # fmt: skip
    ranks = plan.ranks[site.index]
    return Row(
        site.index, site.kind, _told(site, ranks), ranks.read, ranks.written, factors.kept,
        site.macs, site.macs_of(ranks),
    )  # fmt: skip


def _told(site: Site, ranks: Ranks) -> str:
    """'1x1 to 32, 3x3 to 64, 1x1'."""
    parts = [] if ranks.read is None else [f"1x1 to {ranks.read}"]
    parts.append(site.kind if ranks.written is None else f"{site.kind} to {ranks.written}")
    if ranks.written is not None:
        parts.append(site.kind if site.kind == "connected" else "1x1")
    return ", ".join(parts)
