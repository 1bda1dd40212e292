"""Which channels live and die together.

Each channel that a convolution creates gets a fresh number, an *atom*. A section's output is an
array of atoms: [route] concatenates arrays, pooling and depthwise convolutions pass them on,
[shortcut] and [scale_channels] tie atoms pairwise. Tied atoms form a *class*, kept or dropped as
one. Classes that reach a head or the image are frozen, with the reason, and so are those that a
section without a rule reads or writes. The same idea, found by tracing gradients instead of
reading a document, is DepGraph (Fang et al., CVPR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head
from yolo_slim.cfg.sections import (
    IMAGE,
    Activation,
    Avgpool,
    Batchnorm,
    Connected,
    Conv,
    Cost,
    Crop,
    Dropout,
    LocalAvgpool,
    Maxpool,
    Reorg3d,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Select,
    Shortcut,
    Shuffle,
    Upsample,
)
from yolo_slim.cfg.shapes import infer_shapes

Atoms = NDArray[np.int64]
Mask = NDArray[np.bool_]

NOT_ZERO_AT_ZERO = frozenset({"logistic", "hsigmoid", "plse"})
"""Activations with f(0) != 0: a silenced channel must be silenced after them, too."""


@dataclass(frozen=True)
class Coupling:
    """The channels of one cfg and what binds them.

    outputs: for each section the atoms of its output channels, in order.
    image: the atoms of the input image.
    class_of: int64 [n_atoms], the class of each atom.
    frozen: class -> why it cannot be dropped.
    """

    outputs: tuple[Atoms, ...]
    image: Atoms
    class_of: Atoms
    frozen: dict[int, str]

    @property
    def n_classes(self) -> int:
        return int(self.class_of.max()) + 1

    @property
    def free(self) -> Mask:
        """bool [n_classes], True where a class may be dropped."""
        free = np.ones(self.n_classes, bool)
        free[list(self.frozen)] = False
        return free

    def atoms(self, link: int) -> Atoms:
        """Atoms of a section's output, or of the image."""
        return self.image if link == IMAGE else self.outputs[link]

    def classes(self, link: int) -> Atoms:
        """The class of each output channel of a section, or of the image."""
        return self.class_of[self.atoms(link)]


def couple(cfg: Cfg) -> Coupling:
    """Finds the classes of a legal cfg, in one pass over its sections."""
    return _Tracer(cfg).run()


def is_depthwise(conv: Conv, in_channels: int) -> bool:
    """Whether each filter reads one channel, so that it lives and dies with it."""
    return conv.groups == in_channels and conv.groups > 1


class _Tracer:
    def __init__(self, cfg: Cfg) -> None:
        self.cfg = cfg
        self.shapes = infer_shapes(cfg)
        self.n_atoms = 0
        self.ties: list[tuple[Atoms, Atoms]] = []
        self.frozen: list[tuple[Atoms, str]] = []
        self.image = self.fresh(cfg.net.channels)
        self.outputs: list[Atoms] = []

    def run(self) -> Coupling:
        self.frozen.append((self.image, "the image"))
        for index, section in enumerate(self.cfg):
            inputs = [self.atoms(link) for link in self.cfg.links(index)]
            self.outputs.append(self.trace(index, section, inputs))
        read = {link for index in range(len(self.cfg)) for link in self.cfg.links(index)}
        for index, atoms in enumerate(self.outputs):
            if index not in read and not isinstance(self.cfg[index], Head):
                self.frozen.append((atoms, f"output of the network (section {index})"))
        return self.classify()

    def atoms(self, link: int) -> Atoms:
        return self.image if link == IMAGE else self.outputs[link]

    def trace(self, index: int, section: Section, inputs: list[Atoms]) -> Atoms:
        first = inputs[0]
        match section:
            case Conv():
                return self.trace_conv(index, section, first)
            case Connected():
                return self.fresh(section.output)
            case Maxpool(depth_channels=0) | LocalAvgpool() | Upsample() | Avgpool() | Dropout():
                return first
            case Batchnorm() | Crop(noadjust=True) | Cost():
                return first
            case Activation():
                return self.activated(index, section.activation, first)
            case Shortcut():
                for other in inputs[1:]:
                    shared = min(len(first), len(other))
                    self.ties.append((first[:shared], other[:shared]))
                return self.activated(index, section.activation, first)
            case ScaleChannels(scale_wh=True):
                self.frozen.append((first, f"scales every channel (section {index})"))
                return self.activated(index, section.activation, inputs[1])
            case ScaleChannels() | Sam():
                self.ties.append((first, inputs[1]))
                return self.activated(index, section.activation, inputs[1])
            case Route():
                parts = [self.split(atoms, section.groups) for atoms in inputs]
                return np.concatenate([part[section.group_id] for part in parts])
            case Reorg3d():
                return np.tile(first, section.stride**2)
            case Select():
                return first[list(section.channels)]
            case Shuffle():
                return np.stack(self.split(first, section.groups), axis=1).reshape(-1)
            case Head():
                self.frozen.append((first, f"read by [{section.kind}] (section {index})"))
                return first
        return self.untraced(index, section, inputs)

    def untraced(self, index: int, section: Section, inputs: list[Atoms]) -> Atoms:
        """All that goes in and comes out of a section whose channels cannot be told apart."""
        output = self.fresh(self.shapes[index].channels)
        for atoms in (*inputs, output):
            self.frozen.append((atoms, f"no rule for [{section.kind}] (section {index})"))
        return output

    def split(self, atoms: Atoms, groups: int) -> list[Atoms]:
        """Equal parts that shrink alike, so that the cuts between them stay at equal counts."""
        parts = np.split(atoms, groups)
        self.ties += [(parts[0], other) for other in parts[1:]]
        return parts

    def trace_conv(self, index: int, conv: Conv, first: Atoms) -> Atoms:
        if conv.xnor:
            self.frozen.append((first, f"read as signs: 0 is none of them (section {index})"))
        if is_depthwise(conv, len(first)):
            output = np.repeat(first, conv.filters // conv.groups)
        else:
            output = self.fresh(conv.filters)
            for atoms in (first, output):
                self.split(atoms, conv.groups)
        if conv.share_index is not None:  # one kernel: what goes for one reader goes for the other
            self.ties.append((first, self.atoms(self.cfg.links(conv.share_index)[0])))
            self.ties.append((output, self.atoms(conv.share_index)))
            owner = self.cfg[conv.share_index]
            assert isinstance(owner, Conv)
            if owner.activation != conv.activation:  # what silences one may not silence the other
                self.activated(index, conv.activation, output)
                self.activated(index, owner.activation, output)
        return output

    def activated(self, index: int, activation: str, atoms: Atoms) -> Atoms:
        if activation in NOT_ZERO_AT_ZERO:
            self.frozen.append((atoms, f"{activation} after section {index} is not 0 at 0"))
        return atoms

    def fresh(self, count: int) -> Atoms:
        self.n_atoms += count
        return np.arange(self.n_atoms - count, self.n_atoms)

    def classify(self) -> Coupling:
        parent = list(range(self.n_atoms))

        def root(atom: int) -> int:
            while parent[atom] != atom:
                parent[atom] = parent[parent[atom]]
                atom = parent[atom]
            return atom

        for left, right in self.ties:
            for a, b in zip(left.tolist(), right.tolist(), strict=True):
                # The smaller root stays, so that classes are numbered by their first channel.
                a, b = sorted((root(a), root(b)))
                parent[b] = a
        roots = np.array([root(atom) for atom in range(self.n_atoms)])
        _, class_of = np.unique(roots, return_inverse=True)
        frozen: dict[int, str] = {}
        for atoms, reason in self.frozen:
            for cls in np.unique(class_of[atoms]).tolist():
                frozen.setdefault(cls, reason)
        return Coupling(tuple(self.outputs), self.image, class_of.astype(np.int64), frozen)
