"""What is no cfg is refused, with its place and what was expected; whatever the bytes are."""

from __future__ import annotations

import time

import pytest
from cfg_pieces import CONV, HEAD, NET, YOLO
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_slim.cfg import Cfg, parse, read_cfg, render
from yolo_slim.errors import CfgError

# --- faults ---------------------------------------------------------------------------------------

FAULTS = {
    "empty file": ("", ["an empty file", "[net]"]),
    "comments only": ("# nothing\n", ["an empty file"]),
    "first section is not net": (CONV + NET, ["starts with [net]", "[convolutional]"]),
    "net alone": (NET, ["no section"]),
    "key before any section": ("width=3\n" + NET, [":1", "before the first"]),
    "line that is no pair": (NET + CONV + "hello\n", [":12", "'hello'"]),
    "unknown section": (NET + CONV + "[lstm]\noutput=3\n", [":12 [lstm]", "not supported"]),
    "unknown activation": (NET + CONV.replace("leaky", "leeky"), [":5", "leeky", "leaky"]),
    "text for a number": (NET + CONV.replace("filters=8", "filters=many"), [":7", "many"]),
    "inf": (NET + CONV.replace("filters=8", "filters=inf"), [":7", "filters=inf"]),
    "1e999": (NET + CONV.replace("filters=8", "filters=1e999"), [":7", "1e999"]),
    "nan": (NET + CONV.replace("filters=8", "filters=nan"), [":7", "filters=nan"]),
    "half a filter": (NET + CONV.replace("filters=8", "filters=8.5"), [":7", "whole number"]),
    "no filter": (NET + CONV.replace("filters=8", "filters=0"), [":7", "filters=0"]),
    "negative width": (NET.replace("width=64", "width=-64") + CONV, [":2 [net]", "width=-64"]),
    "stride 0": (NET + CONV.replace("stride=1", "stride=0"), [":9", "stride=0"]),
    "link before the start": (
        NET + CONV + "[shortcut]\nfrom=-3\n",
        [":12 [shortcut]", "from=-3", "0 to 0"],
    ),
    "link to itself": (NET + CONV + "[route]\nlayers=1\n", [":12 [route]", "layers=1"]),
    "link to the future": (NET + CONV + "[route]\nlayers=7\n" + CONV, ["layers=7", "0 to 0"]),
    "route to nowhere": (NET + CONV + "[route]\n", [":12 [route]", "needs layers="]),
    "filters do not fit yolo": (
        NET + HEAD.replace("18", "17") + YOLO,
        [":9 [yolo]", "17 channels", "filters=18"],
    ),
    "groups do not divide": (
        NET + CONV + CONV.replace("filters=8", "filters=9\ngroups=2"),
        [":12 [convolutional]", "groups=2", "9 filters"],
    ),
    "route groups do not divide": (
        NET + CONV + "[route]\nlayers=-1\ngroups=3\ngroup_id=1\n",
        [":12 [route]", "groups=3", "8 channels"],
    ),
    "group_id out of range": (
        NET + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n",
        [":15 [route]", "group_id=2"],
    ),
    "no anchors": (NET + HEAD + YOLO.replace("anchors", "ankers"), ["0 numbers", "pairs"]),
    "mask out of range": (
        NET + HEAD + YOLO.replace("mask=0,1,2", "mask=1,2,3"),
        ["(1, 2, 3)", "holds 3"],
    ),
    "negative mask": (NET + HEAD + YOLO.replace("mask=0", "mask=-1"), ["-1", "holds 3"]),
    "negative anchor": (NET + HEAD + YOLO.replace("1,2,", "-1,2,"), ["positive"]),
    "yolo reads the image": (NET + YOLO, [":5 [yolo]", "image"]),
    "heads disagree": (
        NET + HEAD + YOLO + HEAD.replace("18", "21") + YOLO.replace("classes=1", "classes=2"),
        ["[1, 2]"],
    ),
    "shortcut of two sizes": (
        NET + CONV.replace("stride=1", "stride=2") + "[upsample]\n[shortcut]\nfrom=-2\n",
        [":13 [shortcut]", "8x64x64", "8x32x32"],
    ),
    "route of two sizes": (
        NET + CONV + CONV.replace("stride=1", "stride=2") + "[route]\nlayers=-1,-2\n",
        [":19 [route]", "8x64x64", "8x32x32"],
    ),
    "gate of another width": (
        NET + CONV + CONV.replace("filters=8", "filters=4") + "[avgpool]\n[scale_channels]\nfrom=0",
        [":20 [scale_channels]", "4x1x1", "8x1x1"],
    ),
    "too small for its strides": (
        NET + CONV + "[maxpool]\nsize=128\nstride=2\npadding=0\n",
        [":12 [maxpool]", "64x64", "too small"],
    ),
    "a thousand million filters": (
        NET + CONV.replace("filters=8", "filters=1000000000"),
        [":7", "filters=1000000000"],
    ),
    "too many weights": (
        NET + CONV.replace("filters=8", "filters=65536") * 2,
        [":12", "1,000,000,000"],
    ),
    "too large a map": (
        NET.replace("=64", "=16384") + CONV,
        [":5", "8x16384x16384", "larger"],
    ),
    "antialiasing": (NET + CONV + "antialiasing=1\n", [":12", "antialiasing=1", "not supported"]),
    "weights_type": (
        NET + CONV + CONV + "[shortcut]\nfrom=-2\nweights_type=per_pixel\n",
        [":21", "weights_type=per_pixel", "per_channel"],
    ),
    "shared kernel of another size": (
        NET + CONV + CONV.replace("filters=8", "filters=16") + "share_index=0\n",
        [":12 [convolutional]", "share_index names section 0", "same filters"],
    ),
    "odd map for reorg": (
        NET.replace("width=64", "width=63") + CONV + "[reorg]\nstride=2\n",
        [":12 [reorg]", "stride=2", "64x63"],
    ),
    "channels for reorg": (
        NET + CONV.replace("=8", "=6") + "[reorg]\nstride=2\n", [":12 [reorg]", "6 channels", "4"],
    ),
    "select beyond": (
        NET + CONV + "[select]\nchannels=1,8\n", [":12 [select]", "channel 8", "0 to 7"],
    ),
    "select twice": (NET + CONV + "[select]\nchannels=1,1\n", [":12 [select]", "different"]),
    "shuffle groups": (
        NET + CONV + "[shuffle]\ngroups=3\n", [":12 [shuffle]", "groups=3", "8 channels"],
    ),
    "crop beyond": (
        NET + "[crop]\ncrop_height=65\ncrop_width=3\n" + CONV, [":5 [crop]", "65x3", "64x64"],
    ),
    "local pad": (NET + "[local]\nsize=5\npad=1\n", [":5 [local]", "size=5", "size=3"]),
    "depth pool": (
        NET + CONV + "[maxpool]\nmaxpool_depth=1\nout_channels=9\n",
        [":12 [maxpool]", "out_channels=9", "8 channels"],
    ),
    "pool beyond the map": (
        NET + CONV + "[maxpool]\nsize=2\nstride=1\npadding=3\n",
        [":12 [maxpool]", "padding=3", "windows of 2 px"],
    ),
    "yolo v1 head": (
        NET + "[connected]\noutput=10\n[detection]\ncoords=4\nside=2\nnum=1\nclasses=1\n",
        [":7 [detection]", "10 values", "= 24"],
    ),
    "two kinds of heads": (
        NET + HEAD + YOLO + HEAD + "[region]\nanchors=1,1, 2,2, 3,3\nclasses=1\nnum=3\n",
        ["different kinds", "region, yolo"],
    ),
    "temperature": (NET + CONV + "[softmax]\ntemperature=0\n", [":12 [softmax]", "temperature"]),
    "nms_kind": (NET + HEAD + YOLO + "nms_kind=soft\n", [":14", "nms_kind=soft", "diounms"]),
    "bn_eps 0": (NET + "bn_eps=0\n" + CONV, ["bn_eps=0"]),
    "mean of two channels": (NET + "mean=1,2\n" + CONV, ["2 numbers", "channels=3"]),
    "std 0": (NET + "std=1,0,1\n" + CONV, ["std", "positive"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_place_and_what_was_expected(fault):
    text, parts = FAULTS[fault]
    started = time.perf_counter()
    with pytest.raises(CfgError) as caught:
        parse(text, "my.cfg")
    assert time.perf_counter() - started < 1  # refused before anything is allocated
    message = str(caught.value)
    assert message.startswith("my.cfg")
    for part in parts:
        assert part in message
    assert len(message) < 400
    assert "\n" not in message


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.cfg", tmp_path):
        with pytest.raises(CfgError, match="cannot be read"):
            read_cfg(path)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.cfg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CfgError, match="at most 4,194,304"):
        read_cfg(path)


# --- anything at all ------------------------------------------------------------------------------


def _cfg_or_error(text: str) -> Cfg | CfgError:
    try:
        return parse(text)
    except CfgError as error:
        return error


@settings(max_examples=200, deadline=5000)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_cfg_or_an_error(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.cfg"
    path.write_bytes(raw)
    try:
        cfg = read_cfg(path)
    except CfgError as error:
        assert str(path.name) in str(error)
    else:
        assert parse(render(cfg)) == cfg


BASE = (
    NET + CONV + "[maxpool]\nsize=2\nstride=2\n" + CONV + "[route]\nlayers=-1,-2\n" + CONV
    + "[shortcut]\nfrom=-3\nactivation=linear\n[upsample]\nstride=2\n[dropout]\n" + HEAD + YOLO
).splitlines()  # fmt: skip
VALUES = st.one_of(
    st.integers(-3, 70).map(str),
    st.sampled_from(
        ["", "-", "1e9", "-1e-9", "0x10", "1_0", "1,2,", "nan", "99999999999", "leaky"]
    ),
    st.text("0123456789.,-e#", max_size=6),
)
EDITS = st.lists(st.tuples(st.integers(0, len(BASE) - 1), VALUES), min_size=1, max_size=4)
DROPS = st.lists(st.integers(0, len(BASE) - 1), max_size=3)


@settings(max_examples=200, deadline=5000)
@given(EDITS, DROPS)
def test_a_mutated_cfg_ends_in_a_cfg_or_an_error(edits, drops):
    lines = list(BASE)
    for line, value in edits:
        lines[line] = lines[line].split("=")[0] + "=" + value if "=" in lines[line] else lines[line]
    text = "\n".join(line for number, line in enumerate(lines) if number not in drops)
    result = _cfg_or_error(text)
    if isinstance(result, Cfg):
        assert parse(render(result)) == result
    else:
        assert str(result).startswith("<cfg>")


@pytest.mark.parametrize("value", ["1_0", "٣"])
def test_a_number_is_one_that_darknet_reads_too(value):
    with pytest.raises(CfgError, match="expected a number"):
        parse(NET + CONV.replace("filters=8", f"filters={value}"))
