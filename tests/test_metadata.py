"""What travels in an exported file: enough for a program that knows nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from head_zoo import TEXTS, head_cfg

from yolo_slim import __version__, metadata
from yolo_slim.bundle import Event
from yolo_slim.cfg import infer_shapes
from yolo_slim.errors import InputError
from yolo_slim.metadata import answer_of, from_metadata, int8_of, output_names, to_metadata
from yolo_slim.nn.suppress import Suppression


@pytest.mark.parametrize("name", TEXTS)
def test_every_value_can_be_read_back(name, random_bundle):
    bundle = random_bundle(head_cfg(name), dtype=torch.float32)
    bundle = replace(
        bundle, class_names=("a", "b", "große c"), history=(Event("prune", {"ratio": 0.5}),)
    )
    rules = Suppression(0.25, 0.6, 7)
    told = to_metadata(bundle, "detections", rules)
    assert from_metadata(told, "a.onnx") == (bundle.cfg, bundle.class_names)
    assert answer_of(told, "a.onnx") == ("detections", rules)
    assert told["yolo_slim.version"] == __version__
    assert (int8_of(told), int8_of(to_metadata(bundle, int8="cpu"))) == ("none", "cpu")
    assert json.loads(told["yolo_slim.history"]) == [
        {"verb": "prune", "settings": {"ratio": 0.5}, "result": {}}
    ]
    heads = json.loads(told["yolo_slim.heads"])
    shapes = infer_shapes(bundle.cfg)
    assert [(h["map"], tuple(h["shape"]), h["kind"]) for h in heads] == [
        (f"head_{number}", tuple(shapes[index]), bundle.cfg[index].kind)
        for number, index in enumerate(bundle.cfg.head_indices)
    ]


@pytest.mark.parametrize(("known", "told"), [("0a1b2c3d4e5f", "0a1b2c3d4e5f"), (None, None)])
def test_the_commit_is_told_where_it_is_known(known, told, random_bundle, monkeypatch):
    monkeypatch.setattr(metadata, "commit", lambda: known)
    assert to_metadata(random_bundle(head_cfg("yolo"))).get("yolo_slim.commit") == told


def test_what_a_picture_must_become(random_bundle):
    cfg = head_cfg("yolo")
    net = replace(cfg.net, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5), letter_box=True)
    told = to_metadata(random_bundle(replace(cfg, net=net), dtype=torch.float32))
    assert json.loads(told["yolo_slim.input"]) == {
        "name": "images", "width": 64, "height": 32, "colour": "RGB", "low": 0.0, "high": 1.0,
        "resize": "letterbox", "border": 127,
        "mean_in_graph": [0.1, 0.2, 0.3], "std_in_graph": [0.5, 0.5, 0.5],
    }  # fmt: skip


def test_anchors_are_those_of_the_head_in_pixels(random_bundle):
    told = {
        name: json.loads(to_metadata(random_bundle(head_cfg(name)))["yolo_slim.heads"])
        for name in ("yolo", "region")
    }
    assert [h["anchors_wh_px"] for h in told["yolo"]] == [[[12, 30], [4, 5]], [[9, 8]]]
    # cells of 4 px
    assert told["region"][0]["anchors_wh_px"] == [[2, 6], [8, 4], [13, 16]]


def test_names_of_a_file_keep_their_numbers(random_bundle):
    told = to_metadata(random_bundle(head_cfg("yolo"), dtype=torch.float32))
    assert from_metadata(told, "a.onnx")[1] == ()
    assert from_metadata({**told, "yolo_slim.names": "a\n\nc"}, "a.onnx")[1] == ("a", "", "c")


def test_output_names():
    cfg = head_cfg("yolo")
    assert output_names(cfg, "raw") == ("head_0", "head_1")
    assert output_names(cfg, "boxes") == ("boxes", "scores")
    assert output_names(cfg, "detections") == ("detections",)


def test_a_file_from_before_there_was_a_choice_gives_raw_maps():
    assert answer_of({}, "old.onnx") == ("raw", None)


RULES = '{"conf": 0.1, "nms_iou": 0.4, "max_detections": 9}'


@pytest.mark.parametrize(
    ("answer", "suppression"),
    [
        ("masks", RULES),
        ("detections", None),
        ("detections", "no JSON"),
        ("detections", "[1, 2]"),
        ("detections", RULES.replace("0.4", "4")),
        ("detections", RULES.replace("0.4", '"much"')),
        ("detections", RULES.replace("conf", "confidence")),
    ],
)
def test_what_export_never_wrote_is_refused(answer, suppression):
    told = {"yolo_slim.answer": answer}
    if suppression is not None:
        told["yolo_slim.suppression"] = suppression
    with pytest.raises(InputError, match=r"^a\.onnx: .*export it"):
        answer_of(told, "a.onnx")
