"""What is edited can be read again, or is refused as a file would be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cfg_pieces import CONV, HEAD, NET, YOLO

from yolo_slim.cfg import Cfg, Select, deepen, parse, render, resize, verify, with_classes
from yolo_slim.cfg.limits import MAX_SECTIONS
from yolo_slim.errors import CfgError, InputError
from yolo_slim.zoo import build

REGION = "[region]\nanchors=1,1, 2,2, 3,3\nclasses=1\ncoords=4\nnum=3\n"
CONNECTED = "[connected]\noutput=24\n[detection]\ncoords=4\nside=2\nnum=1\nclasses=1\n"


def _with_filters(filters: int) -> Cfg:
    cfg = parse(NET + CONV)
    return replace(cfg, sections=(replace(cfg[0], filters=filters),))


BEYOND = {
    "wide": (lambda: resize(parse(NET + CONV), 32, 16385), r"\[net\] width=16385: .* 1 to 16384"),
    "flat": (lambda: resize(parse(NET + CONV), 0, 32), r"\[net\] height=0: expected"),
    "deep": (lambda: deepen(parse(NET + CONV + 3 * CONV), 5000), "sections: refused, above 5,000"),
    "long": (lambda: verify(replace(cfg := parse(NET + CONV),
             sections=cfg.sections * (MAX_SECTIONS + 1))), "5,001 sections: refused"),
    "filters": (lambda: verify(_with_filters(65537)), "filters=65537: expected"),
    "channels": (lambda: parse(NET.replace("64", "16384").replace("=3", "=1024")
                 + "[crop]\ncrop_height=8\ncrop_width=8\n"),
                 r":1 \[net\] input 1024x16384x16384 is larger than 1,073,741,824"),
}  # fmt: skip


@pytest.mark.parametrize("what", BEYOND)
def test_what_could_not_be_read_is_not_made(what):
    make, told = BEYOND[what]
    with pytest.raises(CfgError, match=told):
        make()


def test_a_network_that_was_not_read_is_named_without_a_line():
    with pytest.raises(CfgError, match=r"^yolov3-tiny \[net\] width=20000: expected"):
        build("yolov3-tiny", size_px=20_000)


def test_as_many_sections_as_may_be_are_read_again():
    cfg = parse(NET + CONV + (MAX_SECTIONS - 1) * "[dropout]\n")
    assert len(parse(render(cfg))) == MAX_SECTIONS
    with pytest.raises(CfgError, match="more than 5000 sections"):
        parse(render(cfg) + "[dropout]\n")


def test_a_selection_of_many_channels_is_read_again():
    wide = parse(NET.replace("64", "1") + CONV.replace("=8", "=6000"))
    selected = replace(wide, sections=(wide[0], Select(channels=tuple(range(5000)))))
    verify(selected)
    assert parse(render(selected)) == selected


@pytest.mark.parametrize("n_classes", [0, -6, 65537])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: with_classes(parse(NET + HEAD + YOLO), n),
        lambda n: build("yolov3-tiny", n),
        lambda n: build("yolov3-tiny-resnet18", n),
        lambda n: build("resnet18", n),
    ],
)
def test_a_number_of_classes_that_is_none_is_refused(make, n_classes):
    with pytest.raises(InputError, match=f"{n_classes} classes: expected 1 to 65,536"):
        make(n_classes)


@pytest.mark.parametrize("head", [YOLO, REGION])
def test_a_head_has_other_classes_and_filters_before_it(head):
    cfg = with_classes(parse(NET + CONV + HEAD + head), 7)
    assert (cfg[1].filters, cfg.n_classes) == (3 * (5 + 7), 7)
    assert parse(render(cfg)) == cfg


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CONV + HEAD + REGION + "tree=9k.tree\n", r"\[region\] tree=9k.tree names its 1 classes"),
        (CONNECTED, r":7 \[detection\]: expected \[yolo\] or \[region\] heads"),
        (CONV, "my.cfg has no head"),
        (HEAD + "[dropout]\n" + YOLO, r"\[dropout\]: expected a \[convolutional\] before \[yolo\]"),
    ],
)
def test_heads_that_cannot_have_other_classes_are_told(text, told):
    with pytest.raises(CfgError, match=told):
        with_classes(parse(NET + text, "my.cfg"), 7)
