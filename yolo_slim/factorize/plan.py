"""Which sections are factored, at which ranks, and what the network costs then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from yolo_slim.cfg import Cfg, Connected, Conv, Section, totals
from yolo_slim.cfg.split import split
from yolo_slim.console import percent
from yolo_slim.errors import InputError
from yolo_slim.factorize.options import Method, candidates
from yolo_slim.factorize.sites import Ranks, Site, find_sites


@dataclass(frozen=True)
class Plan:
    """ranks: of the sections that are factored. whole: why each of the others is not.

    asked: what led to it, for the history. notes: what its reader should know, where it is not just
    what was asked for.
    """

    cfg: Cfg
    ranks: Mapping[int, Ranks]
    whole: Mapping[int, str] = field(default_factory=dict)
    asked: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> dict[int, tuple[Section, ...]]:
        """What takes the place of each section that is factored."""
        return {index: parts_of(self.cfg[index], ranks) for index, ranks in self.ranks.items()}

    @cached_property
    def written(self) -> tuple[Cfg, dict[int, int]]:
        """The cfg of the factors, and the new place of every section's output."""
        return split(self.cfg, self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image afterwards, from the ranks."""
        saved = (
            site.macs - site.macs_of(self.ranks[site.index])
            for site in find_sites(self.cfg)
            if site.index in self.ranks
        )
        return totals(self.cfg).macs - sum(saved)


def parts_of(section: Section, ranks: Ranks) -> tuple[Section, ...]:
    """A section as two or three: linear and with a bias but for the last, which has its BatchNorm
    or bias, its activation, and its keys that compute nothing."""
    if isinstance(section, Connected):
        assert ranks.written is not None
        return Connected(output=ranks.written, activation="linear", line=section.line), section
    assert isinstance(section, Conv)
    parts: tuple[Section, ...] = ()
    if ranks.read is not None:
        parts = (Conv(filters=ranks.read, activation="linear", line=section.line),)
    if ranks.written is None:
        return *parts, section
    core = replace(
        section, filters=ranks.written, batch_normalize=False, activation="linear", extras=()
    )
    back = Conv(
        filters=section.filters, batch_normalize=section.batch_normalize,
        activation=section.activation, line=section.line, extras=section.extras,
    )  # fmt: skip
    return *parts, core, back


def least_macs(cfg: Cfg, method: Method, multiple: int = 1, with_heads: bool = False) -> int:
    """What the network costs with every section at its cheapest ranks."""
    sites = find_sites(cfg, with_heads)
    return totals(cfg).macs - sum(site.macs - _cheapest(site, method, multiple) for site in sites)


def _cheapest(site: Site, method: Method, multiple: int) -> int:
    found = candidates(site, method, multiple)
    return int(found.macs.min()) if len(found) else site.macs


def require_reachable(
    cfg: Cfg, target: float, method: Method, multiple: int = 1, with_heads: bool = False
) -> None:
    """Raises InputError, with the smallest share of the MACs that there is, where no ranks reach
    `target` of them."""
    if not 0 < target <= 1:
        raise InputError(f"--target-macs {target}: expected a share above 0, up to 1")
    least = least_macs(cfg, method, multiple, with_heads) / max(totals(cfg).macs, 1)
    if target < least:
        raise InputError(
            f"{percent(target)} of the macs cannot be reached by {method} alone: the least is "
            f"{percent(least)} (every rank {multiple}); ask for more, or prune channels, too"
            + ("" if with_heads else ", or add --heads")
        )
