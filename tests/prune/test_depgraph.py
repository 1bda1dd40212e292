"""DepGraph finds by tracing gradients the classes that `couple` reads off the document.

Torch-Pruning (Fang et al., CVPR 2023) is asked about every output channel of every convolution of
small random networks. Left out is what it does not represent, as of 1.6.1: a depthwise convolution
with two filters a channel, a shortcut of unequal widths, a shuffle, `share_index`. Halves of a
split and groups of a convolution it cuts one by one; here they are ties (docs/adr/0002), which are
added to its groups before the two are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
import torch

from yolo_slim.cfg import Cfg, Conv, Route, couple, parse
from yolo_slim.nn.network import Network

tp = pytest.importorskip("torch_pruning")

Channel = tuple[int, int]
Partition = set[frozenset[Channel]]


class Draft:
    """A cfg in the making: `add` returns the index of the new section."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sections: list[str] = []

    def add(self, text: str) -> int:
        self.sections.append(text)
        return len(self.sections) - 1

    def conv(self, filters: int, size: int = 1, stride: int = 1, groups: int = 1) -> int:
        activation = self.random.choice(["leaky", "mish", "relu6", "linear", "swish"])
        return self.add(
            f"[convolutional]\nbatch_normalize={self.random.randrange(2)}\nfilters={filters}\n"
            f"size={size}\nstride={stride}\npad=1\ngroups={groups}\nactivation={activation}\n"
        )

    def width(self) -> int:
        return self.random.randint(2, 7)

    def shortcut(self, source: int) -> int:
        return self.add(f"[shortcut]\nfrom={source - len(self.sections)}\nactivation=linear\n")

    def route(self, *sources: int, more: str = "") -> int:
        layers = ",".join(map(str, sources))
        return self.add(f"[route]\nlayers={layers}\n{more}")

    def cfg(self) -> Cfg:
        self.conv(5)
        return parse("[net]\nwidth=32\nheight=32\nchannels=3\n" + "".join(self.sections))


def chain(draft: Draft) -> None:
    for _ in range(draft.random.randint(2, 5)):
        draft.conv(draft.width(), size=draft.random.choice([1, 3]))
        draft.add(draft.random.choice(["[maxpool]\nsize=2\nstride=2\n", "[upsample]\nstride=2\n"]))


def residual(draft: Draft) -> None:
    for _ in range(2):
        width = draft.width()
        before = draft.conv(width, size=3, stride=2)
        for _ in range(draft.random.randint(1, 3)):
            draft.conv(draft.width())
            draft.conv(width, size=3)
            before = draft.shortcut(before)


def concat(draft: Draft) -> None:
    """Branches side by side, a pyramid of pools, and an addition to what was concatenated."""
    widths = [draft.width() for _ in range(draft.random.randint(2, 4))]
    branches = [draft.conv(widths[0], size=3, stride=2)]
    for width in widths[1:]:
        draft.route(branches[0])
        branches.append(draft.conv(width, size=3))
    draft.random.shuffle(branches)
    together = draft.route(*branches)
    pooled = draft.add("[maxpool]\nsize=3\nstride=1\n")
    draft.route(pooled, together)
    draft.conv(sum(widths))
    draft.shortcut(together)


def inverted(draft: Draft) -> None:
    width = draft.width()
    before = draft.conv(width, size=3, stride=2)
    for _ in range(draft.random.randint(1, 3)):
        wide = width + draft.width()
        draft.conv(wide)
        draft.conv(wide, size=3, groups=wide)
        draft.conv(width)
        before = draft.shortcut(before)


def squeezed(draft: Draft) -> None:
    width = draft.width()
    before = draft.conv(width, size=3, stride=2)
    for _ in range(2):
        draft.conv(width, size=3)
        wide = draft.conv(width + 2, size=3)
        draft.add("[avgpool]\n")
        draft.conv(draft.width())
        draft.conv(width + 2)
        draft.add(f"[scale_channels]\nfrom={wide - len(draft.sections)}\n")
        draft.conv(width)
        before = draft.shortcut(before)


def split(draft: Draft) -> None:
    """The stage of yolov4-tiny: half of the channels take the long way, and meet the rest."""
    for _ in range(2):
        whole = draft.conv(2 * draft.width(), size=3)
        draft.route(whole, more="groups=2\ngroup_id=1\n")
        first = draft.conv(draft.width(), size=3)
        second = draft.conv(draft.width(), size=3)
        draft.route(second, first)
        last = draft.conv(draft.width())
        draft.route(whole, last)


def grouped(draft: Draft) -> None:
    for _ in range(2):
        draft.conv(2 * draft.width())
        draft.conv(2 * draft.width(), size=3, groups=2)


FAMILIES = {
    "chain": chain, "residual": residual, "concat": concat, "inverted": inverted,
    "squeezed": squeezed, "split": split, "grouped": grouped,
}  # fmt: skip
ALONE = {"chain", "split", "grouped"}
"""Families in which nothing but our own ties couples channels of two convolutions."""


def by_document(cfg: Cfg) -> Partition:
    coupling = couple(cfg)
    members: dict[int, set[Channel]] = {}
    for index, section in enumerate(cfg):
        if isinstance(section, Conv):
            for channel, cls in enumerate(coupling.classes(index).tolist()):
                members.setdefault(cls, set()).add((index, channel))
    return {frozenset(group) for group in members.values()}


def by_depgraph(cfg: Cfg) -> Partition:
    network = Network(cfg).eval()
    graph = tp.DependencyGraph().build_dependency(network, torch.rand(1, 3, *cfg.input_hw))
    section_of = {
        network.get_submodule(str(index)).conv: index
        for index, section in enumerate(cfg)
        if isinstance(section, Conv)
    }
    found = set()
    for conv in section_of:
        cut = graph.get_pruner_of_module(conv).prune_out_channels
        for channel in range(conv.out_channels):
            found.add(
                frozenset(
                    (section_of[dependency.target.module], other)
                    for dependency, others in graph.get_pruning_group(conv, cut, [channel])
                    if dependency.target.module in section_of
                    and graph.is_out_channel_pruning_fn(dependency.handler)
                    for other in others
                )
            )
    return found


def our_ties(cfg: Cfg) -> list[frozenset[Channel]]:
    """Channel k of every part, for routes that split and convolutions with groups. Both read a
    convolution, or what passes the channels of one on."""

    def parts(index: int, groups: int) -> list[frozenset[Channel]]:
        section = cfg[index]
        assert isinstance(section, Conv)
        step = section.filters // groups
        return [frozenset((index, k + step * g) for g in range(groups)) for k in range(step)]

    ties = []
    for index, section in enumerate(cfg):
        source = cfg.links(index)[0]
        if isinstance(section, Route) and section.groups > 1:
            ties += parts(source, section.groups)
        elif isinstance(section, Conv) and section.groups == 2:
            ties += parts(source, 2) + parts(index, 2)
    return ties


def unbroken(groups: Iterable[frozenset[Channel]]) -> Partition:
    """The finest partition in which no group is torn apart."""
    whole: list[set[Channel]] = []
    for group in groups:
        touched = [other for other in whole if other & group]
        whole = [other for other in whole if not other & group]
        whole.append(set(group).union(*touched))
    return {frozenset(group) for group in whole}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", FAMILIES)
def test_depgraph_finds_the_same_groups(family, seed):
    draft = Draft(seed)
    FAMILIES[family](draft)
    cfg = draft.cfg()
    mine, theirs = by_document(cfg), by_depgraph(cfg)
    ties = our_ties(cfg)
    assert bool(ties) == (family in {"split", "grouped"})
    assert unbroken([*theirs, *ties]) == mine
    if not ties:
        assert theirs == mine
    two_convs = any(len({section for section, _ in group}) > 1 for group in theirs)
    assert two_convs == (family not in ALONE)  # the family shows what it is there for
