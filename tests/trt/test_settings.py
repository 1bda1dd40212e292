from __future__ import annotations

import pytest

from yolo_slim.errors import InputError
from yolo_slim.trt.api import load_api
from yolo_slim.trt.settings import BuildSettings, check_settings, known_capability, read_batch


@pytest.mark.parametrize(
    ("text", "batch"), [("1", (1, 1, 1)), ("4", (4, 4, 4)), ("1,4,8", (1, 4, 8))]
)
def test_batch(text, batch):
    assert read_batch(text) == batch


@pytest.mark.parametrize("text", ["", "0", "-1", "1,2", "1,2,3,4", "4,2,8", "1,8,4", "a", "1.5",
                                  "1,4,2000", "٣", "1_0"])  # fmt: skip
def test_a_batch_that_is_none(text):
    with pytest.raises(InputError, match="MIN,OPT,MAX"):
        read_batch(text)


@pytest.mark.parametrize(
    ("settings", "has_cache", "told"),
    [
        (BuildSettings("tensorrt", compute_capability="8.6"), False, "is for --flavor rtx"),
        (BuildSettings("rtx", version_compatible=True), False, "--version-compatible is for"),
        (BuildSettings("rtx", hardware_compatible=True), False, "--hardware-compatible is for"),
        (BuildSettings("rtx"), True, "--timing-cache is for"),
    ],
)
def test_what_is_of_the_other_package(settings, has_cache, told):
    with pytest.raises(InputError, match=told):
        check_settings(settings, has_cache)


def test_what_fits_together():
    check_settings(BuildSettings("rtx", compute_capability="8.6"))
    check_settings(BuildSettings("tensorrt", None, (1, 2, 4), 512, True, True), has_cache=True)


@pytest.mark.parametrize("text", ["8.6", "86", "sm86", "SM86", "sm_86"])
def test_a_capability_is_known_by_several_names(text):
    pytest.importorskip("tensorrt_rtx")
    assert known_capability(load_api("rtx"), text) == "8.6"


@pytest.mark.parametrize("text", ["9.0", "", "8", "CURRENT", "NONE", "1.21"])
def test_an_unknown_capability_is_refused_with_those_known(text):
    pytest.importorskip("tensorrt_rtx")
    if text == "1.21":
        text = "12.10"
    with pytest.raises(InputError, match=r"7\.5, 8\.0, 8\.6, 8\.9, 12\.0"):
        known_capability(load_api("rtx"), text)
