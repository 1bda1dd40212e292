"""Darknet's, VOC's and COCO's own words for one class are one."""

from __future__ import annotations

import json

import pytest

from yolo_slim.class_names import class_key


def test_darknets_coco_names_are_those_of_the_annotations(shared_root):
    document = json.loads((shared_root / "data/coco/annotations/dev_val2017.json").read_text())
    theirs = [c["name"] for c in sorted(document["categories"], key=lambda c: c["id"])]
    darknets = (shared_root / "names/coco.names").read_text().split("\n")[:80]
    assert theirs != darknets
    assert list(map(class_key, theirs)) == list(map(class_key, darknets))
    assert len(set(map(class_key, theirs))) == 80
    voc = (shared_root / "names/voc.names").read_text().split()
    assert len(voc) == 20 and set(map(class_key, voc)) <= set(map(class_key, theirs))


@pytest.mark.parametrize("other", ["Traffic Light", "traffic_light", "traffic-light"])
def test_how_a_word_is_written_does_not_count(other):
    assert class_key(other) == class_key("traffic light") != class_key("stop light")
