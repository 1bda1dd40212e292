"""A bundle folder is written whole or not at all, read without pickle, and checked at the door."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import yolo_slim.bundle as bundle_module
from yolo_slim.bundle import Bundle, Event, load_bundle, read_names
from yolo_slim.cfg import Conv, parse
from yolo_slim.errors import BundleError, InputError, WeightsError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.precision import ConvPrecision, Precision, Range
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build

PRECISION = Precision(
    Range(0.0, 1.0), {0: Range(-0.5, 2.25), 3: Range(0.0, 0.1)},
    {0: ConvPrecision((0.1, 0.30000000000000004) * 4, Range(-1.0, 3.0))},
)  # fmt: skip


@pytest.fixture
def bundle(random_bundle) -> Bundle:
    made = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    events = (Event("train", {"epochs": 3}, {"AP": 0.5}), Event("prune", {"ratio": 0.25}))
    return Bundle(made.cfg, made.weights, PRECISION, events, ("cat", "große Katze"))


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_saved_and_loaded_it_is_the_same(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert again.cfg == bundle.cfg
    assert again.weights.keys() == bundle.weights.keys()
    assert all(torch.equal(again.weights[k], bundle.weights[k]) for k in bundle.weights)
    assert again.precision == bundle.precision
    assert again.history == bundle.history
    assert again.class_names == bundle.class_names
    again.save(tmp_path / "c")
    assert _snapshot(tmp_path / "b") == _snapshot(tmp_path / "c")


def test_the_folder_holds_the_five_documented_files(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    assert set(_snapshot(tmp_path)) == {
        f"b/{name}" for name in ("model.cfg", "model.safetensors", "precision.json", "names.txt",
                                 "history.json")
    }  # fmt: skip


def test_a_bundle_is_replaced_whole(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    plain = Bundle(bundle.cfg, bundle.weights)
    plain.save(tmp_path / "b")
    assert load_bundle(tmp_path / "b").precision is None
    assert load_bundle(tmp_path / "b").class_names == ()
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("content", ["thesis.txt", "model.cfg.bak", "sub/model.cfg"])
def test_something_else_is_never_replaced(content, bundle, tmp_path):
    place = tmp_path / "b"
    (place / content).parent.mkdir(parents=True)
    (place / content).write_text("dear")
    before = _snapshot(tmp_path)
    with pytest.raises(BundleError, match="no bundle"):
        bundle.save(place)
    assert _snapshot(tmp_path) == before


def test_a_file_is_never_replaced(bundle, tmp_path):
    (tmp_path / "b").write_text("dear")
    with pytest.raises(BundleError, match="no bundle"):
        bundle.save(tmp_path / "b")
    assert (tmp_path / "b").read_text() == "dear"


@pytest.mark.parametrize("older", [False, True])
def test_nothing_half_written_stays_when_saving_fails(older, bundle, tmp_path, monkeypatch):
    if older:
        bundle.save(tmp_path / "b")
    before = _snapshot(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(bundle_module, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        bundle.save(tmp_path / "b")
    assert _snapshot(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == (["b"] if older else [])


@pytest.mark.parametrize("name", ["model.cfg", "model.safetensors"])
def test_a_missing_file_is_named(name, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    with pytest.raises(BundleError, match=f"it has no {name}"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", ["precision.json", "names.txt", "history.json"])
def test_the_other_files_may_be_missing(name, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    assert load_bundle(tmp_path / "b").cfg == bundle.cfg


@pytest.mark.parametrize("raw", [b"", b"not tensors", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{}      "])
def test_corrupt_safetensors_are_refused(raw, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").write_bytes(raw)
    with pytest.raises((BundleError, WeightsError), match=r"model\.safetensors"):
        load_bundle(tmp_path / "b")


def test_truncated_safetensors_are_refused(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    path = tmp_path / "b" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="not a safetensors file"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("0.conv.weight"), "0.conv.weight is missing"),
        (lambda w: w.update(x=torch.ones(1)), "x belongs to no section"),
        (lambda w: w.update({"0.bn.bias": torch.ones(9)}), "shape (9,)"),
        (lambda w: w["0.bn.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, told, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    weights = {k: v.clone() for k, v in bundle.weights.items()}
    change(weights)
    save_file(weights, tmp_path / "b" / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_bundle(tmp_path / "b")
    assert told in str(caught.value)


@pytest.mark.parametrize("dtype", ["int32", "bool", "float16", "bfloat16", "float8_e4m3fn"])
def test_numbers_that_no_network_computes_with_are_refused(dtype, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    weights = {key: value.to(getattr(torch, dtype)) for key, value in bundle.weights.items()}
    save_file(weights, tmp_path / "b" / "model.safetensors")
    with pytest.raises(WeightsError, match=f"is {dtype}, expected float32 or float64"):
        load_bundle(tmp_path / "b")


def test_a_network_without_tensors_is_a_bundle_too(tmp_path):
    cfg = parse("[net]\nwidth=8\nheight=8\n[maxpool]\nsize=2\nstride=2\n")
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    (pooled,) = network_of(loaded.cfg, loaded.weights)(torch.rand(1, 3, 8, 8))
    assert pooled.shape == (1, 3, 4, 4)


RANGE = Range(-1.0, 1.0)
UNFIT = {
    "scales": ({0: 2}, {0: 2}, "has 8 filters and 2 weight_scales"),
    "no range": ({1: 16}, {}, "reads section 0, which has no range in outputs"),
    "no section": ({999: 8}, {0: 0}, "section 999 of .* is no"),
    "no convolution": ({4: 8}, {0: 0}, r"section 4 of .* is no \[convolutional\]"),
    "range of no section": ({}, {999: 0}, "outputs has section 999"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_plan_of_another_network_is_refused(what, bundle, tmp_path):
    convs, outputs, told = UNFIT[what]
    plan = Precision(
        RANGE, dict.fromkeys(outputs, RANGE),
        {index: ConvPrecision((0.1,) * count, RANGE) for index, count in convs.items()},
    )  # fmt: skip
    replace(bundle, precision=plan).save(tmp_path / "b")
    with pytest.raises(
        BundleError, match=rf"precision\.json: .*{told}.*: quantize the model again"
    ):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("scale", [0.0, -0.1, float("inf"), float("nan")])
def test_steps_that_are_no_positive_numbers_are_refused(scale, bundle, tmp_path):
    convs = {0: ConvPrecision((0.1,) * 7 + (scale,), RANGE)}
    replace(bundle, precision=Precision(RANGE, {}, convs)).save(tmp_path / "b")
    with pytest.raises(BundleError, match=r"precision\.json: .*weight_scales: expected positive"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("history.json", "{"), ("history.json", '[{"verb": 1, "what": 2}]'), ("history.json", "3"),
        ("precision.json", "{"), ("precision.json", "[]"), ("precision.json", "{}"),
        ("precision.json", '{"image": {"low": 2, "high": 1}, "outputs": {}, "convs": {}}'),
        ("precision.json", '{"image": {"low": 0, "high": NaN}, "outputs": {}, "convs": {}}'),
    ],
)  # fmt: skip
def test_documents_that_are_none_are_refused(name, text, bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / name).write_text(text)
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path / "b")


def test_names_that_are_too_few_are_refused(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "names.txt").write_text("cat\n")
    with pytest.raises(BundleError, match="classes=2, 1 names"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", ["", " ", "\t", "two\nlines"])
def test_a_class_without_a_name_is_refused(name, bundle):
    with pytest.raises(BundleError, match=r"class 1 is called .* expected a line of text"):
        replace(bundle, class_names=("cat", name))


def test_a_blank_line_among_names_moves_no_class(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "names.txt").write_text("cat\n\ndog\n\n")
    assert read_names(tmp_path / "b" / "names.txt") == ("cat", "", "dog")
    (tmp_path / "b" / "names.txt").write_text("\ndog\n")
    with pytest.raises(BundleError, match="class 0 is called ''"):
        load_bundle(tmp_path / "b")


def test_a_plan_survives_json_to_the_last_bit():
    assert Precision.from_json(PRECISION.to_json()) == PRECISION
    assert json.loads(PRECISION.to_json())["image"] == {"low": 0.0, "high": 1.0}


def test_heads_are_the_convolutions_before_yolo():
    cfg = build("yolov3-tiny")
    heads = cfg.head_convs
    assert len(heads) == 2
    for index in heads:
        section = cfg[index]
        assert isinstance(section, Conv)
        assert (section.filters, section.batch_normalize) == (255, False)


def test_history_grows_and_the_older_bundle_stays(bundle):
    later = bundle.then("fold", {"a": 1}, result={"b": 2})
    assert later.history == (*bundle.history, Event("fold", {"a": 1}, {"b": 2}))
    assert len(bundle.history) == 2


def test_a_folded_bundle_refuses_what_needs_gamma(random_bundle):
    folded = fold_batchnorm(random_bundle(build("yolov3-nano", 2, 32)))
    with pytest.raises(InputError, match="sparsify needs BatchNorm"):
        folded.require_batchnorm("sparsify")


def test_a_quantized_bundle_without_its_ranges_is_refused(tmp_path, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64)).then("quantize", {})
    bundle.save(tmp_path / "b")
    with pytest.raises(BundleError, match=r"precision\.json is not there, and the model was quant"):
        load_bundle(tmp_path / "b")
