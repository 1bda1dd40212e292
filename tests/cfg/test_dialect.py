"""A cfg is read as Darknet reads it, printed so that it reads the same, and refused by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cfg_pieces import CONV, HEAD, NET, YOLO
from core_zoo import CORE
from detectors import READ_STEMS, REFUSED, REFUSED_WITHOUT_HEAD

from yolo_slim.cfg import (
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
