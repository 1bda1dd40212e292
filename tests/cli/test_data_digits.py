"""`data digits` as it is typed: what it tells as JSON."""

from __future__ import annotations

import json

import pytest
from command_line import status

from yolo_slim.data.digits import CLASS_NAMES
from yolo_slim.data.pictures import find_pictures


@pytest.mark.parametrize(
    ("options", "description", "pictures"),
    [("--train 2 --val 1", "d/digits.yaml", "d/images/{}"), ("--labelled", None, "d/{}")],
)
def test_json_tells_where_the_set_lies(options, description, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status(f"data digits --out d {options} --json d.json") == 0
    told = json.loads((tmp_path / "d.json").read_text())
    assert (told["out"], told["description"]) == ("d", description)
    assert told["classes"] == list(CLASS_NAMES)
    for split in ("train", "val"):
        n_images = len(find_pictures(tmp_path / pictures.format(split)))
        assert told["splits"][split] == {"images": n_images}


@pytest.mark.parametrize("target", ["d", "d/made_by_yolo_slim.json"])
def test_json_does_not_take_the_place_of_the_set(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status(f"data digits --out d --train 2 --val 1 --json {target}") == 2
    assert not list(tmp_path.iterdir())
