from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolo_slim.cfg import Cfg, parse, read_cfg, render, totals
from yolo_slim.errors import CfgError
from yolo_slim.zoo import build, names

REPOSITORY = Path(__file__).resolve().parents[2]
NET = "[net]\nwidth=32\nheight=32\n"
CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"

# [yolo] cfgs that hold a section or key that is not computed yet, and what the message names.
REFUSED = {
    "cspx-p7-mish.cfg": "[sam]",
    "cspx-p7-mish_hp.cfg": "[sam]",
    "resnet152_trident.cfg": "share_index",
    "yolov3-tiny_occlusion_track.cfg": "[crnn]",
    "yolov3-tiny_xnor.cfg": "xnor",
    "yolov4-sam-mish-csp-reorg-bfm.cfg": "[reorg3d]",
    "yolov4-tiny_contrastive.cfg": "[local_avgpool]",
}


@pytest.mark.parametrize("name", names())
def test_checked_in_cfg_is_what_the_zoo_writes(name):
    assert (REPOSITORY / "cfg" / f"{name}.cfg").read_text() == render(build(name))


def test_every_shared_yolo_cfg_round_trips_or_is_refused_by_name(shared_root):
    read = set()
    for path in sorted(shared_root.glob("cfg/*/*.cfg")):
        if "[yolo]" not in path.read_text(errors="replace"):
            continue
        if path.name in REFUSED:
            with pytest.raises(CfgError) as caught:
                read_cfg(path)
            assert str(caught.value).startswith(f"{path.name}:")
            assert REFUSED[path.name] in str(caught.value)
            continue
        cfg = read_cfg(path)
        assert parse(render(cfg)) == cfg
        read.add(path)
    assert len(read) == 53


@pytest.mark.parametrize(
    ("name", "parameters", "floats"),
    [("yolov3", 61_949_149, 62_001_757), ("yolov3-tiny", 8_852_366, 8_858_734)],
)
def test_published_counts(name, parameters, floats):
    total = totals(build(name))
    assert (total.parameters, total.weights_file_floats) == (parameters, floats)


def test_darknets_lexing():
    text = "\ufeff[net]\r\n# note\nwid th = 6 4\nheight=64\nheight=32\n;x\n[conv]\nfilters = 8\n"
    cfg = parse(text.removeprefix("\ufeff"))
    assert (cfg.net.width, cfg.net.height, cfg[0].filters) == (64, 64, 8)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "an empty file"),
        (CONV, "starts with [net]"),
        (NET, "no section to compute"),
        (NET + "[nonsense]\n", "<cfg>:4 [nonsense]: this section is not supported"),
        (NET + CONV.replace("=8", "=x"), "expected a number"),
        (NET + CONV.replace("=8", "=nan"), "expected a number"),
        (NET + CONV.replace("=8", "=1000000000"), "from 1 to 65536"),
        (NET + CONV.replace("leaky", "wobbly"), "activation=wobbly is not supported"),
        (NET + CONV + "[shortcut]\nfrom=-3\n", "points at section"),
        (NET + CONV + CONV + "groups=3\n", "groups=3 must divide"),
        (NET + CONV + "[yolo]\nanchors=1,2\nnum=1\nclasses=1\n", "set filters=6"),
        (NET + "[maxpool]\nsize=2\nstride=64\n", "is too small"),
    ],
)
def test_a_fault_is_named(text, told):
    if "too small" in told:
        text = text.replace("32", "1").replace("size=2", "size=2\npadding=0")
    with pytest.raises(CfgError) as caught:
        parse(text)
    assert told in str(caught.value)


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_text_is_a_document_or_a_cfg_error(data):
    text = list(render(build("yolov3-tiny", size_px=64)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(st.sampled_from("[]=,-#0919x\n. e"))
    try:
        assert isinstance(parse("".join(text)), Cfg)
    except CfgError as error:
        assert str(error)
