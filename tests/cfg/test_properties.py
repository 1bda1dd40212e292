"""Laws over random documents: what is legal round-trips and builds, anything else is refused."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from detectors import READ_STEMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.cfg import (
    ACTIVATIONS,
    IMAGE,
    Activation,
    Avgpool,
    Batchnorm,
    Cfg,
    Connected,
    Conv,
    Cost,
    Crop,
    Detection,
    Dropout,
    GaussianYolo,
    Local,
    LocalAvgpool,
    Maxpool,
    Net,
    Region,
    Reorg,
    Reorg3d,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Select,
    Shape,
    Shortcut,
    Shuffle,
    Softmax,
    Upsample,
    Yolo,
    couple,
    infer_shapes,
    parse,
    render,
    verify,
)
from yolo_slim.errors import CfgError
from yolo_slim.nn.network import Network

Draw = Callable[[st.SearchStrategy], object]

# --- legal documents ------------------------------------------------------------------------------


def divisors(n: int, most: int = 8) -> list[int]:
    return [d for d in range(1, most + 1) if n % d == 0]


class Author:
    """Writes a random cfg section by section, each legal where it stands."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        side = self.int(6, 20)
        self.net = Net(width=side, height=self.int(6, 20), channels=self.int(1, 4))
        self.sections: list[Section] = []
        self.shapes: list[Shape] = []

    def int(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    @property
    def now(self) -> Shape:
        net = self.net
        return self.shapes[-1] if self.shapes else Shape(net.channels, net.height, net.width)

    @property
    def activation(self) -> str:
        return self.pick(ACTIVATIONS)

    def add(self, section: Section) -> None:
        self.sections.append(section)
        cfg = Cfg(self.net, tuple(self.sections))
        self.shapes = list(infer_shapes(cfg))

    def like(self, fits: Callable[[Shape], bool]) -> list[int]:
        return [i for i, shape in enumerate(self.shapes) if fits(shape)]

    def write(self) -> None:
        channels, height, width = self.now
        kind = self.pick([
            "conv", "conv", "shared", "shortcut", "route", "maxpool", "depth", "local_avgpool",
            "upsample", "reorg", "reorg3d", "avgpool", "scale", "sam", "dropout", "batchnorm",
            "activation", "connected", "local", "crop", "softmax", "cost", "select", "shuffle",
        ])  # fmt: skip
        match kind:
            case "conv":
                groups = self.pick(divisors(channels))
                size = self.int(1, min(5, height, width))
                self.add(Conv(
                    filters=groups * self.int(1, 4), size=size, groups=groups,
                    stride=self.int(1, 2), stride_x=self.pick([0, 3]), padding_px=size // 2,
                    dilation=self.pick([1, 2]) if size % 2 and size > 1 else 1,
                    batch_normalize=self.draw(st.booleans()), activation=self.activation,
                    xnor=self.pick([False, False, True]),
                ))  # fmt: skip
            case "shared":
                owners = [
                    i for i, s in enumerate(self.sections)
                    if isinstance(s, Conv) and s.share_index is None and not s.xnor
                    and (self.shapes[i - 1].channels if i else self.net.channels) == channels
                    and s.size == 1
                ]  # fmt: skip
                if owners:
                    owner = self.pick(owners)
                    conv = self.sections[owner]
                    self.add(replace(conv, share_index=owner, stride=1, stride_x=0))
            case "shortcut" if self.shapes:
                near = self.like(lambda s: s[1:] == (height, width))
                self.add(Shortcut(
                    sources=tuple(self.draw(st.lists(st.sampled_from(near), min_size=1,
                                                     max_size=3))),
                    activation=self.activation,
                    weights_type=self.pick(["none", "per_feature", "per_channel"]),
                    weights_normalization=self.pick(["none", "relu", "softmax"]),
                ))  # fmt: skip
            case "route" if self.shapes:
                groups = self.int(1, 3)
                near = self.like(lambda s: s[1:] == (height, width) and s.channels % groups == 0)
                if near:
                    sources = self.draw(st.lists(st.sampled_from(near), min_size=1, max_size=6))
                    group_id = self.int(0, groups - 1)
                    self.add(Route(sources=tuple(sources), groups=groups, group_id=group_id))
            case "maxpool":
                size = self.int(1, 4)
                self.add(Maxpool(size=size, stride=self.int(1, 3), padding_px=size - 1))
            case "depth":
                self.add(Maxpool(size=1, depth_channels=self.int(1, channels)))
            case "local_avgpool":
                size = self.int(1, 3)
                self.add(LocalAvgpool(size=size, stride=self.int(1, 2), padding_px=size - 1))
            case "upsample" if height * width < 500:
                self.add(Upsample(stride=self.int(1, 3), scale=self.pick([1.0, 0.5])))
            case "reorg" if channels <= 64:
                fits = [s for s in (1, 2) if not (height % s or width % s or channels % s**2)]
                self.add(Reorg(stride=self.pick(fits)))
            case "reorg3d" if channels <= 64:
                self.add(
                    Reorg3d(stride=self.pick([s for s in (1, 2) if not (height % s or width % s)]))
                )
            case "avgpool":
                self.add(Avgpool())
            case "scale":
                wide = self.draw(st.booleans())
                fits = self.like(
                    (lambda s: channels == 1 and s[1:] == (height, width)) if wide
                    else (lambda s: (height, width) == (1, 1) and s.channels == channels)
                )  # fmt: skip
                if fits:
                    source = self.pick(fits)
                    self.add(
                        ScaleChannels(source=source, scale_wh=wide, activation=self.activation)
                    )
            case "sam" if self.shapes:
                self.add(Sam(source=self.pick(self.like(lambda s: s == self.now))))
            case "dropout":
                self.add(Dropout(probability=self.pick([0.0, 0.5])))
            case "batchnorm":
                self.add(Batchnorm())
            case "activation":
                self.add(Activation(activation=self.activation))
            case "connected" if self.now.values < 2000:
                self.add(Connected(output=self.int(1, 9), activation=self.activation,
                                   batch_normalize=self.draw(st.booleans())))  # fmt: skip
            case "local" if self.now.values < 1000:
                size = self.int(1, min(3, height, width))
                self.add(Local(filters=self.int(1, 3), size=size, padding_px=int(size == 3)))
            case "crop":
                self.add(Crop(crop_height=self.int(1, height), crop_width=self.int(1, width)))
            case "softmax":
                groups = self.pick(divisors(self.now.values))
                self.add(Softmax(groups=groups, temperature=self.pick([1.0, 2.5]),
                                 spatial=self.draw(st.booleans())))  # fmt: skip
            case "cost":
                self.add(Cost())
            case "select":
                picked = self.draw(st.sets(st.integers(0, channels - 1), min_size=1, max_size=6))
                self.add(Select(channels=tuple(picked)))
            case "shuffle":
                self.add(Shuffle(groups=self.pick(divisors(channels))))

    def finish(self) -> None:
        kind = self.pick([None, "yolo", "gaussian", "region", "detection"])
        anchors = ((3.0, 4.0), (5.5, 6.0), (9.0, 2.0))
        match kind:
            case "yolo" | "gaussian":
                head = (Yolo if kind == "yolo" else GaussianYolo)(
                    mask=(0, 2), anchors_wh=anchors, classes=self.int(1, 3),
                    nms_kind=self.pick(["default", "greedynms", "diounms"]),
                    scale_x_y=self.pick([1.0, 1.05]), new_coords=kind == "yolo",
                )  # fmt: skip
                self.add(Conv(filters=head.head_filters, activation="linear"))
                self.add(head)
            case "region":
                head = Region(anchors_wh=anchors, classes=2, softmax=self.draw(st.booleans()))
                self.add(Conv(filters=head.head_filters, activation="linear"))
                self.add(head)
            case "detection" if self.now.values < 2000:
                head = Detection(side=self.int(1, 3), num=2, classes=3, sqrt=True)
                self.add(Connected(output=head.head_filters, activation="linear"))
                self.add(head)
        if not self.sections:
            self.add(Conv(filters=2))


@st.composite
def legal_cfgs(draw: Draw) -> Cfg:
    author = Author(draw)
    for _ in range(author.int(1, 14)):
        author.write()
    author.finish()
    return Cfg(author.net, tuple(author.sections))


SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW_DRAWS)
@given(legal_cfgs())
def test_a_legal_cfg_round_trips_builds_and_runs_as_its_shapes_say(cfg):
    verify(cfg)
    again = parse(render(cfg))
    assert again == cfg
    assert render(again) == render(cfg)
    coupling = couple(cfg)
    shapes = infer_shapes(cfg)
    assert [len(coupling.atoms(i)) for i in range(len(cfg))] == [s.channels for s in shapes]
    images = torch.rand(2, cfg.net.channels, *cfg.input_hw)
    with torch.no_grad():
        outputs, taps = Network(cfg).eval().forward_with_taps(images, range(len(cfg)))
    assert [tuple(taps[i].shape[1:]) for i in range(len(cfg))] == shapes_of(shapes)
    assert len(outputs) == len(cfg.output_indices)
    assert IMAGE not in taps


def shapes_of(shapes):
    return [tuple(shape) for shape in shapes]


# --- anything else --------------------------------------------------------------------------------

BYTES = b"[]=,-.#;\n 0123456789eE\0\xff\xc3abstride"


def mutated(text: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, lines repeated, dropped or swapped, numbers made long."""
    for _ in range(rng.randint(1, 8)):
        lines = text.split(b"\n")
        place = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                spot = rng.randrange(len(text))
                text = text[:spot] + bytes([rng.choice(BYTES)]) + text[spot + 1 :]
                continue
            case 1:
                del lines[place]
            case 2:
                lines.insert(place, rng.choice(lines))
            case 3:
                other = rng.randrange(len(lines))
                lines[place], lines[other] = lines[other], lines[place]
            case 4:
                lines[place] = lines[place].replace(b"1", b"1000000000")
            case 5:
                key = lines[place].split(b"=")[0]
                lines[place] = key + b"=" + str(rng.randint(-300, 70000)).encode()
        text = b"\n".join(lines) or b"\n"
    return text


def seeds(shared_root) -> list[bytes]:
    texts = [render(make()).encode() for make in SMALL_NETWORKS.values()]
    if shared_root.is_dir():
        texts += [(shared_root / f"cfg/{stem}.cfg").read_bytes() for stem in READ_STEMS[::6]]
    return texts


def mutate_and_read(texts: list[bytes], count: int, path) -> int:
    """Reads `count` mutated files; returns how many were documents."""
    from yolo_slim.cfg import read_cfg

    rng = random.Random(0)
    n_legal = 0
    for _ in range(count):
        path.write_bytes(mutated(rng.choice(texts), rng))
        started = time.perf_counter()
        try:
            cfg = read_cfg(path)
        except CfgError as error:
            assert str(error)
        else:
            n_legal += 1
            assert parse(render(cfg)) == cfg
        assert time.perf_counter() - started < 2
    return n_legal


def test_mutated_bytes_end_in_a_document_or_a_cfg_error(shared_root, tmp_path):
    n_legal = mutate_and_read(seeds(shared_root), 200, tmp_path / "mutant.cfg")
    assert 0 < n_legal < 200


@pytest.mark.slow
def test_many_mutated_bytes_take_bounded_time_and_memory(shared_root, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_legal = mutate_and_read(seeds(shared_root), 5000, tmp_path / "mutant.cfg")
    assert 0 < n_legal < 5000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize(
    "text",
    [
        b"[net]\n" + b"[conv]\n" * 500_000,
        b"[net]\n" + b"a=1\n" * 900_000,
        b"[net]\n[route]\nlayers=" + b"0," * 1_000_000,
        b"[net]\n[conv]\n" + b"[route]\nlayers=" + b"0," * 60 + b"\n" + b"[upsample]\n" * 4000,
        b"[net]\n[convolutional]\nfilters=1000000000\n",
        b"[net]\n[connected]\noutput=16000000\n",
        b"[net]\n[conv]\n" + b"[reorg3d]\nstride=64\n" * 3,
    ],
    ids=["sections", "keys", "links", "growing", "filters", "outputs", "reorg"],
)
def test_a_greedy_file_is_refused_in_no_time(text, tmp_path):
    from yolo_slim.cfg import read_cfg

    path = tmp_path / "greedy.cfg"
    path.write_bytes(text)
    started = time.perf_counter()
    with pytest.raises(CfgError):
        read_cfg(path)
    assert time.perf_counter() - started < 2
