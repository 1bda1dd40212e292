"""A cfg is read as Darknet reads it, printed so that it reads the same, and refused by line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from core_zoo import CORE
from detectors import READ_STEMS, REFUSED, REFUSED_WITHOUT_HEAD
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_slim.cfg import (
    Cfg,
    Connected,
    Conv,
    LocalAvgpool,
    Maxpool,
    Route,
    Shortcut,
    Yolo,
    couple,
    parse,
    read_cfg,
    render,
)
from yolo_slim.errors import CfgError
from yolo_slim.zoo import build

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
CFG_FILES = sorted(p for part in ("cfg", "weights") for p in (SHARED / part).rglob("*.cfg"))

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask=0,1,2\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n"


def _id(path: Path) -> str:
    return str(path.relative_to(SHARED))


def _has_head(path: Path) -> bool:
    heads = re.findall(
        r"^\[(?:yolo|Gaussian_yolo|region|detection)\]",
        path.read_text(errors="replace").replace(" ", ""),
        re.MULTILINE,
    )
    return bool(heads)


def _parses(path: Path) -> bool:
    try:
        read_cfg(path)
    except CfgError:
        return False
    return True


# --- round trips ----------------------------------------------------------------------------------


def test_the_table_of_detectors_is_complete(shared_root):
    assert len(CFG_FILES) == 148 + 14
    with_head = {str(p.relative_to(SHARED / "cfg").with_suffix("")) for p in CFG_FILES
                 if _has_head(p) and p.is_relative_to(SHARED / "cfg")}  # fmt: skip
    assert with_head == {*READ_STEMS, *REFUSED}


@pytest.mark.parametrize("path", [p for p in CFG_FILES if _parses(p)], ids=_id)
def test_a_real_cfg_survives_printing(path):
    cfg = read_cfg(path)
    again = parse(render(cfg))
    assert again == cfg
    assert render(again) == render(cfg)
    # Nothing that stands in the file is lost: as many sections as it has brackets.
    brackets = re.findall(r"^\s*\[", path.read_text(errors="replace"), re.MULTILINE)
    assert len(cfg) + 1 == len(brackets)


@pytest.mark.parametrize("stem", READ_STEMS)
def test_a_detector_is_read(stem, shared_root):
    cfg = read_cfg(shared_root / f"cfg/{stem}.cfg")
    assert cfg.heads
    assert couple(cfg).free.any()


@pytest.mark.parametrize("stem", [*REFUSED, *REFUSED_WITHOUT_HEAD])
def test_what_cannot_be_computed_is_refused_by_line(stem, shared_root):
    line, words = {**REFUSED, **REFUSED_WITHOUT_HEAD}[stem]
    path = shared_root / f"cfg/{stem}.cfg"
    with pytest.raises(CfgError) as caught:
        read_cfg(path)
    assert str(caught.value).startswith(f"{path.name}:{line} ")
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_other_shared_cfg_is_read(shared_root):
    for path in sorted((shared_root / "cfg").rglob("*.cfg")):
        stem = str(path.relative_to(shared_root / "cfg").with_suffix(""))
        if stem not in {**REFUSED, **REFUSED_WITHOUT_HEAD}:
            assert len(read_cfg(path))


@pytest.mark.parametrize("name", CORE)
def test_checked_in_cfg_is_what_the_zoo_writes(name):
    assert (REPOSITORY / "cfg" / f"{name}.cfg").read_text() == render(build(name))


@pytest.mark.parametrize("name", CORE)
def test_a_zoo_network_survives_printing(name):
    cfg = build(name)
    assert parse(render(cfg)) == cfg
    assert parse(render(cfg)) != build(name, classes=3)


# --- Darknet's lexing -----------------------------------------------------------------------------


def _first(text: str) -> Conv:
    section = parse(NET + text)[0]
    assert isinstance(section, Conv)
    return section


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("[convolutional]\nfilters=8\n", "filters", 8),
        ("  [ convolu tional ]  \n fil ters = 1 6 \n", "filters", 16),  # blanks go everywhere
        ("[convolutional]\n\tfilters\t=\t7\t\n", "filters", 7),
        ("[convolutional]\n#filters=9\nfilters=8\n", "filters", 8),
        ("[convolutional]\n;filters=9\nfilters=8\n", "filters", 8),
        ("[convolutional]\n   # indented comment\nfilters=8\n", "filters", 8),
        ("[convolutional]\nfilters=8\nfilters=9\n", "filters", 8),  # the first one counts
        ("[conv]\nfilters=8\n", "filters", 8),
        ("[convolutional]\nsize=3\npad=1\n", "padding_px", 1),
        ("[convolutional]\nsize=5\npad=1\npadding=0\n", "padding_px", 2),  # pad wins
        ("[convolutional]\nsize=5\npadding=1\n", "padding_px", 1),
        ("[convolutional]\nsize=1\ndilation=4\n", "dilation", 1),
        ("[convolutional]\nfilters=8\n", "activation", "logistic"),  # Darknet's default
        ("[convolutional] trailing words\nfilters=8\n", "filters", 8),
    ],
)
def test_lexing_follows_darknet(text, key, expected):
    assert getattr(_first(text), key) == expected


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("[max]", Maxpool),
        ("[maxpool]", Maxpool),
        ("[conv]", Conv),
        ("[conn]", Connected),
        ("[local_avg]", LocalAvgpool),
    ],
)
def test_aliases_are_the_same_section(alias, kind):
    assert isinstance(parse(f"{NET}{CONV}{alias}\nsize=2\nstride=2\n")[1], kind)


def test_network_is_an_alias_of_net():
    assert parse(NET.replace("[net]", "[network]") + CONV) == parse(NET + CONV)


def test_numbers_and_lists_end_at_a_comment():
    text = NET + HEAD + YOLO.replace("5,6", "5,6 # , 7,8")
    yolo = parse(text)[1]
    assert isinstance(yolo, Yolo)
    assert yolo.anchors_wh == ((1, 2), (3, 4), (5, 6))
    assert parse(NET + CONV.replace("filters=8", "filters=40#32"))[0].filters == 40


def test_anchors_are_darknet_s_also_where_num_says_another_count():
    """Darknet reads num pairs; a number that is missing stays 0.5."""
    more = parse(NET + HEAD + YOLO.replace("num=3", "num=2"), "my.cfg")
    assert more.heads[0].anchors_wh == ((1, 2), (3, 4), (5, 6))
    assert more.notes == ("my.cfg:9 [yolo] num=2, but anchors= holds 6 numbers, expected 4",)
    fewer = parse(NET + HEAD + YOLO.replace("5,6", "5"))
    assert fewer.heads[0].anchors_wh == ((1, 2), (3, 4), (5, 0.5))
    assert len(fewer.notes) == 1
    assert not parse(NET + HEAD + YOLO).notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "crlf"])
def test_editors_encodings_read_the_same(encoding, tmp_path):
    text = NET + "# gruß\n" + CONV
    raw = {
        "utf-16-le-bom": b"\xff\xfe" + text.encode("utf-16-le"),
        "crlf": text.replace("\n", "\r\n").encode(),
    }.get(encoding) or text.encode(encoding)
    path = tmp_path / "a.cfg"
    path.write_bytes(raw)
    assert read_cfg(path) == parse(NET + CONV)


def test_links_are_relative_or_absolute_in_text_and_absolute_in_memory():
    relative = NET + CONV * 3 + "[shortcut]\nfrom=-2\nactivation=linear\n[route]\nlayers=-1,-4\n"
    absolute = relative.replace("from=-2", "from=1").replace("-1,-4", "3,0")
    cfg = parse(relative)
    assert cfg == parse(absolute)
    shortcut, route = cfg[3], cfg[4]
    assert isinstance(shortcut, Shortcut)
    assert isinstance(route, Route)
    assert (shortcut.sources, route.sources) == ((1,), (3, 0))
    assert "from=-2" in render(cfg)
    assert "layers=-1,-4" in render(cfg)


def test_keys_that_compute_nothing_are_kept_in_order():
    cfg = parse(NET + "batch=64\njitter=.3\n" + CONV + "learn=1\n")
    assert cfg.net.extras == (("batch", "64"), ("jitter", ".3"))
    assert cfg[0].extras == (("learn", "1"),)
    assert "jitter=.3" in render(cfg)


def test_words_beside_a_bracket_are_told_and_an_exponent_is_no_whole_number():
    cfg = parse(NET + CONV.replace("[convolutional]", "[convolutional] junk"), "my.cfg")
    assert "my.cfg:5 [convolutional] is read out of '[convolutional]junk'" in cfg.notes[0]
    with pytest.raises(CfgError, match="filters=1e1: expected a whole number"):
        parse(NET + CONV.replace("filters=8", "filters=1e1"))


def test_a_key_that_nobody_reads_is_told_with_what_it_may_mean():
    cfg = parse(NET + CONV.replace("stride=1", "strid=2") + "bin_output=1\nfoo=1\n", "my.cfg")
    assert cfg.notes == (
        "my.cfg:5 [convolutional] strid=2 is kept, and read by nobody; did you mean stride?",
        "my.cfg:5 [convolutional] foo=1 is kept, and read by nobody",
    )
    assert "strid=2" in render(cfg)


@pytest.mark.parametrize("path", [p for p in CFG_FILES if _parses(p)], ids=_id)
def test_every_key_of_the_real_cfgs_is_known(path):
    assert not [note for note in read_cfg(path).notes if "read by nobody" in note]


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
