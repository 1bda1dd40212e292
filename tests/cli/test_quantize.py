"""`quantize` as it is typed: methods, mixed precision, training, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from command_line import status, told
from core_zoo import by_night
from made_sets import boxed_pictures

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Conv, parse, render
from yolo_slim.cli.quantize_print import print_plan
from yolo_slim.errors import InputError
from yolo_slim.pipeline import quantizing
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.sensitivity import Sensitivity
from yolo_slim.train.module import DetectorModule
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

QAT = "quantize model --data set.yaml --out t --qat --epochs 2 --batch-size 8"


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Twenty small pictures with a box each, an untrained model, a description with validation."""
    boxed_pictures(tmp_path, 20, 32)
    side = "{images: pictures, annotations: boxes.json}"
    (tmp_path / "set.yaml").write_text(f"train: {side}\nval: {side}\n")
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_plan_is_told_with_its_reasons(place, capsys):
    assert status("quantize model --data set.yaml --out t --table --json t.json") == 0
    text = capsys.readouterr().out
    bundle = load_bundle(place / "t")
    document = json.loads((place / "t.json").read_text())
    rows = {row["index"]: row for row in document["convolutions"]}
    assert set(rows) == {i for i, s in enumerate(bundle.cfg) if isinstance(s, Conv)}
    assert {i for i, row in rows.items() if row["int8"]} == set(bundle.precision.convs)
    assert all(row["reason"] for row in rows.values())
    assert 0.5 < document["int8_share_of_macs"] < 1
    assert "head: offsets and logits" in " ".join(text.split())


def test_the_most_sensitive_stay_in_float(place, capsys):
    command = (
        "quantize model --data set.yaml --out t --keep-float 2 --keep-sections 0 --json t.json"
    )
    assert status(command) == 0
    rows = json.loads((place / "t.json").read_text())["convolutions"]
    kept = {row["index"] for row in rows if "asked for" in row["reason"]}
    assert len(kept) == 3 and 0 in kept
    assert not kept & set(load_bundle(place / "t").precision.convs)
    shares = sorted(row["error_share"] for row in rows if row["error_share"] is not None)[-2:]
    assert {row["error_share"] for row in rows if row["index"] in kept - {0}} == set(shares)
    assert "what staying in float would save" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gains", "least_int8", "n_kept"),
    [
        ((0.5, 0.32, 0.15), 0.0, 2),  # 5 % less 2.5 % less 1.6 %: good enough
        ((0.5, 0.01, 0.01), 0.0, 1),  # the others are not worth it
        ((0.5, 0.32, 0.15), 1.0, 0),  # none may leave INT8
    ],
)
def test_auto_keeps_the_most_sensitive_until_it_is_good_enough(
    gains, least_int8, n_kept, place, monkeypatch
):
    def one_mac_each(cfg):
        return [SimpleNamespace(index=i, macs=1) for i, s in enumerate(cfg) if isinstance(s, Conv)]

    def found(bundle, *_):
        shares = dict(zip(bundle.precision.convs, gains, strict=False))
        return Sensitivity(0.05, {i: 0.05 * (1 - shares.get(i, 0)) for i in bundle.precision.convs})

    monkeypatch.setattr(quantizing, "sensitivity", found)
    monkeypatch.setattr(quantizing, "measure", one_mac_each)
    monkeypatch.setattr(quantizing, "LEAST_INT8", least_int8)
    monkeypatch.setattr(quantizing, "CHEAP", 0.0)
    assert status("quantize model --data set.yaml --out t") == 0
    assert status("quantize model --data set.yaml --out whole --keep-float 0") == 0
    auto, whole = (list(load_bundle(place / name).precision.convs) for name in ("t", "whole"))
    assert auto == whole[n_kept:]


def test_auto_looks_no_further_where_rounding_costs_little(place, monkeypatch):
    monkeypatch.setattr(quantizing, "GOOD_ENOUGH", 1.0)
    command = "quantize model --data set.yaml --out t --json t.json"
    assert status(command) == 0
    rows = json.loads((place / "t.json").read_text())["convolutions"]
    assert all(row["error_share"] is None for row in rows)
    assert status(f"{command} --sensitivity") == 0
    rows = json.loads((place / "t.json").read_text())["convolutions"]
    assert any(row["error_share"] is not None for row in rows)


def test_ap_may_drop_no_more(place, monkeypatch):
    """As if every section in INT8 cost half a point: at most 3 points leave six of them."""
    seen = []

    def ap(bundle, plan, *_):
        n_int8 = 0 if plan is None else len(plan.convs)
        seen.append(n_int8)
        return 0.9 - 0.005 * n_int8

    monkeypatch.setattr("yolo_slim.pipeline.quantizing._ap", ap)
    assert status("quantize model --data set.yaml --out t --max-ap-drop 0.0301 --json t.json") == 0
    assert len(load_bundle(place / "t").precision.convs) == 6
    assert seen[-1] == 6
    document = json.loads((place / "t.json").read_text())
    assert document["float_AP"] - document["AP"] == pytest.approx(0.03)


def test_a_model_that_finds_nothing_has_nothing_to_lose(place, monkeypatch, capsys):
    monkeypatch.setattr("yolo_slim.pipeline.quantizing._ap", lambda *_: 0.0)
    assert status("quantize model --data set.yaml --out t --max-ap-drop 0.01") == 0
    assert "AP is 0: there is nothing" in " ".join(capsys.readouterr().out.split())


def test_nothing_in_float_is_no_table(capsys):
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=8\nsize=3\nactivation=leaky\n"
        "[avgpool]\n[connected]\noutput=2\n[softmax]\n",
        "a.cfg",
    )
    int8 = quantize(Bundle(cfg, random_weights(cfg)), [torch.rand(4, 3, 32, 32)])
    print_plan(int8, whole=False)
    assert capsys.readouterr().out == ""
    print_plan(int8, whole=True)
    assert "INT8" in capsys.readouterr().out


def test_an_unreachable_drop_is_told(place, monkeypatch, capsys):
    monkeypatch.setattr("yolo_slim.pipeline.quantizing._ap", lambda b, plan, *_: 0.5 * (not plan))
    code, text = told("quantize model --data set.yaml --out t --max-ap-drop 0", capsys)
    assert code == 2
    assert "allow a larger drop" in " ".join(text.split())
    assert not (place / "t").exists()


@pytest.mark.parametrize("ranges", ["learned", *by_night("frozen")])
def test_training_with_the_rounding(ranges, place):
    assert status(f"{QAT} --ranges {ranges}") == 0
    calibrated, trained = load_bundle(place / "t/calibrated"), load_bundle(place / "t/bundle")
    assert trained.precision is not None
    was, now = calibrated.precision, trained.precision
    assert (now.image == was.image) is (ranges == "frozen")
    assert now.outputs.keys() == was.outputs.keys() and now.convs.keys() == was.convs.keys()
    # What is not rounded by in the training follows the kernels that it has changed.
    assert all(now.convs[i].weight_scales == was.convs[i].weight_scales for i in was.convs)
    assert any(now.convs[i].convolved != was.convs[i].convolved for i in was.convs)
    assert [event.verb for event in trained.history] == ["fold", "quantize", "train"]
    assert trained.history[-1].settings["loss"] == "logits=1"  # its teacher is the float model
    assert status("export_onnx t --int8 cpu --out t.onnx") == 0
    assert status("evaluate t.onnx --data set.yaml") == 0


def test_pictures_come_one_by_one_and_as_large_as_the_input_whatever_the_cfg_says(
    place, monkeypatch
):
    text = render(build("yolov3-nano", 2, 64)).replace("[net]", "[net]\nmosaic=1\nmixup=1")
    cfg = parse(text.replace("[yolo]", "[yolo]\nrandom=1"), "random.cfg")
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(place / "random")
    (place / "r.toml").write_text(
        'title = "qat"\n[data]\ndescription = "set.yaml"\n[model]\nbundle = "random"\n'
        '[[step]]\nverb = "quantize"\nname = "int8"\nepochs = 5\n'
    )
    seen = []

    def train(bundle, items, collate, settings, *_, **__):
        mixed = items._augmentation != items._augmentation.calm() and items.calm_from > 0
        seen.append((settings.multi_scale, mixed))
        raise InputError("seen")

    monkeypatch.setattr("yolo_slim.pipeline.detecting.train", train)
    command = QAT.replace("model", "random")
    for asked in (command, f"{command} --mosaic 0.5", "compress r.toml --out run"):
        assert status(asked) == 2
    assert seen == [(1, False), (1, True), (1, False)]


def test_what_cannot_be_trained_is_told_before_anything_is_calibrated(place, capsys, monkeypatch):
    text = render(build("yolov3-nano", 2, 64))
    coords = parse(text.replace("[yolo]", "[yolo]\nnew_coords=1"), "coords.cfg")
    Bundle(coords, random_weights(coords)).save(place / "coords")
    five = build("yolov3-nano", 5, 64)
    Bundle(five, random_weights(five)).save(place / "five")
    two = build("yolov3-nano", 2, 64)
    others = Bundle(two, random_weights(two), class_names=("owl", "fox"))
    others.save(place / "others")
    monkeypatch.setattr("yolo_slim.cli.quantize.run_quantize", None)
    for command, words in {
        "coords": "Without a teacher (none) it learns from labels",
        "five": "does not have the classes of five/model.cfg",
        "others": "does not have the classes of others/model.cfg",
        "model --lr 20": "--lr",
    }.items():
        code, err = told(f"quantize {command} --data set.yaml --out t --qat", capsys)
        assert code == 2 and words in " ".join(err.split())
        assert not (place / "t").exists()


def test_a_stopped_training_goes_on(place, monkeypatch, capsys):
    step = DetectorModule.training_step

    def stopped(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(DetectorModule, "training_step", stopped)
        assert status(QAT) == 130
    assert status(f"{QAT} --json t.json") == 2  # without --resume
    assert not (place / "t.json").exists()
    assert status(f"{QAT} --resume --json t.json") == 0
    resumed = load_bundle(place / "t/bundle")
    assert status(QAT.replace("--out t", "--out whole") + " --json whole.json") == 0
    whole = load_bundle(place / "whole/bundle")
    told, of_whole = (json.loads((place / name).read_text()) for name in ("t.json", "whole.json"))
    assert told["bundle"] == "t/bundle" and told["epochs"] == 2
    assert told["AP"] == of_whole["AP"] is not None and told["totals"] == of_whole["totals"]
    int8 = {row["index"] for row in told["convolutions"] if row["int8"]}
    assert int8 == set(resumed.precision.convs)
    assert of_whole["warnings"] and not told["warnings"]  # of a calibration that was kept
    assert resumed.precision == whole.precision
    assert all((resumed.weights[k] == whole.weights[k]).all() for k in whole.weights)


@pytest.mark.slow
def test_stopped_before_the_first_state_it_starts_again_either_way(place, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    for again in ("", " --resume"):
        with monkeypatch.context() as patched:
            patched.setattr(DetectorModule, "training_step", stopped)
            assert status(f"{QAT} --out t{len(again)}") == 130
        assert status(f"{QAT} --out t{len(again)}{again}") == 0


def test_pictures_alone_will_do(place, capsys):
    assert status("quantize model --images pictures --out t") == 0
    assert status("quantize model --data set.yaml --out labelled") == 0
    alone, labelled = (load_bundle(place / name).precision for name in ("t", "labelled"))
    assert alone.convs.keys() == labelled.convs.keys()
    assert "classes" not in capsys.readouterr().out


def test_data_of_other_classes_are_warned_of(place, capsys):
    cfg = build("yolov3-nano", 5, 64)
    Bundle(cfg, random_weights(cfg)).save(place / "five")
    assert status("quantize five --data set.yaml --out t --keep-float 0") == 0
    assert "has 2 classes and the model 5" in " ".join(capsys.readouterr().out.split())


def test_nothing_in_int8_is_told_and_not_exported(place, capsys):
    assert status("quantize model --data set.yaml --out t --keep-float 999") == 0
    assert "no convolution is left in INT8" in capsys.readouterr().out
    code, text = told("export_onnx t --int8 cpu --out t.onnx", capsys)
    assert code == 2 and "leaves every convolution in float" in " ".join(text.split())
    for runtime in ("torch", "onnxruntime"):
        assert status(f"evaluate t --data set.yaml --runtime {runtime}") == 0


def test_a_quantized_bundle_is_refused(place, capsys):
    assert status("quantize model --data set.yaml --out t") == 0
    code, text = told("quantize t --data set.yaml --out again", capsys)
    assert code == 2 and "has an INT8 plan already" in " ".join(text.split())


REFUSED = {
    "epochs without training": ("--epochs 3", "--epochs means nothing without --qat"),
    "resume without training": ("--resume", "--resume means nothing without --qat"),
    "no numbers": ("--keep-sections a,b", "expected numbers of sections"),
    "a section counted from behind": ("--keep-sections 0,-1", "expected numbers of sections"),
    "no count": ("--keep-float -1", "expected a number of sections, or auto"),
    "no convolution": ("--keep-sections 0,999", "has no section 999, but 0 to"),
    "a drop without validation": (
        "--images pictures --annotations boxes.json --max-ap-drop 0.1", "needs validation images"),
    "the teacher is nobody": ("--qat --teacher nobody", "'nobody' is no bundle folder"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault, place, capsys):
    options, expected = REFUSED[fault]
    source = "" if "--images" in options else "--data set.yaml "
    code, text = told(f"quantize model {source}--out t {options}", capsys)
    assert code == 2
    assert expected in " ".join(text.split())
    assert "Traceback" not in text
    assert not (place / "t").exists()


def test_pictures_of_another_kind_are_warned_of(place, capsys):
    """An untrained network's BatchNorm expects what no picture gives."""
    assert status("quantize model --data set.yaml --out t --n-images 4") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "4 images are few" in text
    assert "not like those of the training" in text
