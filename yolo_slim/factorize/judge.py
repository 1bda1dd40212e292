"""Plans of one bundle: what each section keeps at which ranks, and what is chosen of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, totals
from yolo_slim.console import percent
from yolo_slim.errors import InputError
from yolo_slim.factorize.knapsack import Menu, choose
from yolo_slim.factorize.moments import Calibration, Moments, Progress, gather, silent
from yolo_slim.factorize.options import Candidates, Method, candidates
from yolo_slim.factorize.plan import Plan, require_reachable
from yolo_slim.factorize.sites import Ranks, Site, find_sites
from yolo_slim.factorize.spectrum import Spectrum, decompose
from yolo_slim.fold import affine

LEAST_SCALE = 0.01
"""Of the largest: an output that its BatchNorm all but silences still counts by so much."""

LIVELY = 0.5
"""Of the mean |gamma| of a section: on images all outputs with a larger one count alike."""

LEAST_KEPT = 1e-12
"""Under which one share of the energy is as bad as another."""

ROUNDING = 1e-9
"""By so much a share of the energy may be off."""

NO_CHEAPER = "no rank costs less"
WORTH_IT = "worth its MACs"


@dataclass(frozen=True)
class Judged:
    """A section that can be factored: its kernel [O, C, K] and what its outputs count by, float64
    [O]; its spectrum; its candidates, and the share of its energy that each keeps."""

    site: Site
    kernel: Tensor
    scale: Tensor
    spectrum: Spectrum
    candidates: Candidates
    kept: NDArray[np.float64]


class Judge:
    """Looks at every section of a bundle that can be factored, by its weights or on images.

    method: 'svd' or 'tucker', see options.candidates. multiple: every rank is one of it. shown:
    the images; None judges by the weights alone. with_heads: what heads read is factored, too.
    moments: what was found on the images.

    Raises InputError for arguments out of range and for a bundle with INT8 ranges.
    """

    def __init__(
        self,
        bundle: Bundle,
        method: Method = "svd",
        multiple: int = 1,
        shown: Calibration | None = None,
        with_heads: bool = False,
        progress: Progress = silent,
    ) -> None:
        require_float(bundle)
        if multiple < 1:
            raise InputError(f"--multiple {multiple}: expected 1 or more")
        self.bundle, self.method, self.multiple, self.shown = bundle, method, multiple, shown
        self.with_heads, self.sites = with_heads, find_sites(bundle.cfg, with_heads)
        found = {site.index: candidates(site, method, multiple) for site in self.sites}
        open_ones = [site for site in self.sites if len(found[site.index])]
        self.moments: dict[int, Moments] = {}
        if shown is not None:
            self.moments = gather(bundle, [s.index for s in open_ones], shown, progress)
        self.judged: dict[int, Judged] = {}
        with progress("decompositions") as advance:
            for number, site in enumerate(open_ones, start=1):
                self.judged[site.index] = self._judge(site, found[site.index])
                advance(number, len(open_ones))

    def by_energy(self, energy: float) -> Plan:
        """Each section at the cheapest ranks that keep at least this share of its energy."""
        if not 0 < energy <= 1:
            raise InputError(f"--energy {energy}: expected a share above 0, up to 1")
        whole = self._whole()
        ranks: dict[int, Ranks] = {}
        for index, judged in self.judged.items():
            enough = np.flatnonzero(judged.kept >= energy - ROUNDING)
            if not len(enough):
                whole[index] = f"{percent(energy)} of its energy costs more than it does"
                continue
            macs, kept = judged.candidates.macs[enough], judged.kept[enough]
            ranks[index] = judged.candidates.ranks(int(enough[np.lexsort((-kept, macs))[0]]))
        why = f"no section keeps {percent(energy)} of its energy at fewer MACs"
        return self._plan(ranks, whole, {"energy": energy}, why)

    def by_target(self, target: float) -> Plan:
        """At most this share of the network's MACs, and of what can be had for it the ranks with
        the largest product of all sections' shares of energy (Zhang et al., 2016, section 2.4).

        Raises InputError where no ranks reach it, with the smallest share that there is.
        """
        cfg = self.bundle.cfg
        require_reachable(cfg, target, self.method, self.multiple, self.with_heads)
        whole, ranks = self._whole(), {}
        total = totals(cfg).macs
        menus = [_menu(judged) for judged in self.judged.values()]
        others = total - sum(judged.site.macs for judged in self.judged.values())
        least = sum(float(menu.costs.min()) for menu in menus)
        # The share that can be reached is reached, whichever way its product is rounded.
        chosen = choose(menus, max(target * total - others, least))
        for (index, judged), place in zip(self.judged.items(), chosen, strict=True):
            if place == len(judged.candidates):
                whole[index] = WORTH_IT
            else:
                ranks[index] = judged.candidates.ranks(place)
        return self._plan(ranks, whole, {"target_macs": target}, "the target is met without any")

    def _whole(self) -> dict[int, str]:
        """Why those that are not judged stay as they are."""
        return {
            site.index: site.whole or NO_CHEAPER
            for site in self.sites
            if site.index not in self.judged
        }

    def _plan(
        self, ranks: dict[int, Ranks], whole: dict[int, str], asked: dict[str, float], why: str
    ) -> Plan:
        notes = () if ranks else (f"nothing was factored: {why}",)
        return Plan(self.bundle.cfg, ranks, dict(sorted(whole.items())), asked, notes)

    def _judge(self, site: Site, found: Candidates) -> Judged:
        kernel = kernel_of(self.bundle, site.index)
        scale = scale_of(self.bundle, site.index, on_images=self.shown is not None)
        spectrum = decompose(
            kernel, scale, self.moments.get(site.index), with_grid=self.method == "tucker"
        )
        return Judged(site, kernel, scale, spectrum, found, spectrum.kept(found))


def _menu(judged: Judged) -> Menu:
    """Its candidates, and last the section as it is."""
    kept = np.append(judged.kept, 1.0).clip(min=LEAST_KEPT)
    return Menu(np.append(judged.candidates.macs, judged.site.macs).astype(float), np.log(kept))


def require_float(bundle: Bundle) -> None:
    """Raises InputError for a bundle whose ranges are found already."""
    if bundle.precision is not None:
        raise InputError(
            f"{bundle.cfg.source} has INT8 ranges, which are of its own sections: factorize the "
            "bundle from before quantize"
        )


def kernel_of(bundle: Bundle, index: int) -> Tensor:
    """The kernel of a convolution or of [connected], [O, C, K]."""
    name = "connected" if isinstance(bundle.cfg[index], Connected) else "conv"
    weight = bundle.weights[f"{index}.{name}.weight"]
    return weight.reshape(*weight.shape[:2], -1)


def scale_of(bundle: Bundle, index: int, on_images: bool = False) -> Tensor:
    """What each output of a section counts by, float64 [O]: what its BatchNorm multiplies it by,
    without the sign, and never less than LEAST_SCALE of the largest; 1 without a BatchNorm.

    on_images: a gamma above LIVELY counts as that. What is small at one place is made up for in the
    next layer; on images, where an output's own size is known, one counts as much as another.
    """
    name = f"{index}.bn.weight"
    if name not in bundle.weights:
        return torch.ones(len(kernel_of(bundle, index)), dtype=torch.float64)
    gamma = bundle.weights[name].abs()
    if on_images:
        gamma = gamma.clamp(max=LIVELY * float(gamma.mean()))
    scale = affine({**bundle.weights, name: gamma}, index, bundle.cfg.net.bn_eps)[0]
    largest = float(scale.max())
    return scale.clamp(min=LEAST_SCALE * largest) if largest > 0 else torch.ones_like(scale)
