"""An option of `prune` that would do nothing is refused with what it is for, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import told
from typer.main import get_command

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cli.app import app_of
from yolo_slim.cli.prune_words import typed_step
from yolo_slim.cli.step_words import as_option
from yolo_slim.errors import InputError
from yolo_slim.pipeline.prune_effects import NEEDS, Wish, require_effects
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ZEROS = "it is for --granularity weight"
CHANNELS = "it is for channels that go"
IDLE = {
    "--within layer": ZEROS,
    "--within network": ZEROS,  # typed is typed, even where it is the default
    "--within layer --granularity 2:4": ZEROS,
    "--kernel-norm l2": "it is for --granularity kernel",
    "--kernel-norm l2 --granularity weight": "it is for --granularity kernel",
    "--dense first": ZEROS,
    "--runtime openvino": "it is for --target-latency-ms, and for --latency",
    "--latency --sweep --data x.yaml": "a sweep measures the latency of every ratio",
    "--importance l1 --granularity weight": CHANNELS,
    "--importance gamma --layers 2": CHANNELS,
    "--reduce max --layers 2": CHANNELS,
    "--score max --granularity 2:4": CHANNELS,
    "--normalize none --layers 2": CHANNELS,
    "--which regular --select 0.3": CHANNELS,
    "--multiple 8 --granularity kernel": CHANNELS,
    "--absorb --layers 2": CHANNELS,
    "--no-absorb --layers 2": CHANNELS,
    "--rounding nearest --layers 2": CHANNELS,
    "--rounding nearest": "it is for --multiple above 1",
    "--rounding up --multiple 1": "it is for --multiple above 1",
    "--layer-keep 0.3 --layers 2": CHANNELS,
    "--layer-keep 0.3 --granularity 2:4": CHANNELS,
    "--layer-keep 0.3 --granularity weight --within layer": CHANNELS,
    "--layer-rank gamma": "it is for --layers",
    "--order channels-first": "it is for --layers",
    "--order channels-first --layers 2": "it is for --layers beside a --ratio",
    "--n-images 5": "it is for --importance taylor",
    "--n-images 5 --layers 2": "it is for --importance taylor",
    "--data x.yaml": "it is for --importance taylor",
    "--data x.yaml --recalibrate x.yaml": "--recalibrate names a file of its own",
    "--images x --annotations y.json": "it is for --importance taylor",
    "--n-images 5 --sweep --images x --annotations y.json": "and --recalibrate",
}


@pytest.mark.parametrize("options", IDLE)
def test_what_would_do_nothing_is_refused(options, place, capsys):
    status, error = told(f"prune model --out x {options}", capsys)
    option = options.split()[0].replace("--score", "--reduce")
    assert status == 2 and len(error.splitlines()) == 1
    assert error.startswith(f"error: {option} does nothing here: ") and IDLE[options] in error
    assert {path.name for path in place.iterdir()} == {"model"}


def test_it_is_refused_before_anything_is_read(place, capsys):
    status, error = told("prune nowhere --out x --within layer --recalibrate none.yaml", capsys)
    assert status == 2 and "--within does nothing here" in error


BUSY = {
    "--within layer --kernel-norm l2 --dense none": {"granularity": "kernel", "ratio": 0.5},
    "--layer-keep 0.2 --dense first": {"granularity": "weight", "ratio": 0.5},
    "--dense first --order channels-first": {"granularity": "2:4", "layers": 2},
    "--rounding up --multiple 8 --no-absorb": {"ratio": 0.5, "multiple": 8},
    "--layer-rank gamma --order layers-first": {"layers": 2, "target_macs": 0.5},
    "--order channels-first --layer-keep 0.1": {"layers": 2, "select": 0.5},
    "--data x --n-images 5 --importance taylor": {"ratio": 0.5, "importance": "taylor"},
    "--data x --n-images 5 --adapt": {"target_latency_ms": 5.0, "adapt": True},
    "--data x --n-images 5": {"layers": 2, "layer_rank": "drop-one"},
    "--n-images 5 --seed 1": {"ratio": 0.5, "recalibrate": 5},
    "--seed 2": {"ratio": 0.5},
    "--seed 3 --batch-size 4": {"ratio": 0.5, "importance": "taylor"},
}


@pytest.mark.parametrize("options", BUSY)
def test_what_does_something_is_not(options):
    typed = {word[2:].replace("-", "_") for word in options.split() if word.startswith("--")}
    typed = {name.removeprefix("no_") for name in typed}
    require_effects(Wish(typed_step(**BUSY[options]), frozenset(typed)))


def test_a_sweep_asks_data_and_channel_options():
    channels = {"importance", "reduce", "multiple", "layer_keep", "absorb", "data", "n_images"}
    require_effects(Wish(typed_step(ratio=0.5), frozenset(channels), sweep=True))
    with pytest.raises(InputError, match="dense does nothing here"):
        require_effects(Wish(typed_step(ratio=0.5), frozenset({"dense"}), sweep=True))


def test_every_rule_is_of_an_option_that_there_is():
    known = {
        option for p in dict(get_command(app_of()).commands)["prune"].params for option in p.opts
    } | {as_option(name) for name in PruneStep.model_fields}
    assert {as_option(name) for name in NEEDS} <= known


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "removes whole blocks: say how many with --layers, or how fast it is to be with"),
        ("--target-latency-ms 5 --adapt", "removes blocks alone: leave out --adapt, or it"),
        ("--target-latency-ms 5 --layers 1", "name --layers or --target-latency-ms, not both"),
        ("--target-latency-ms 5 --importance l1", "--importance does nothing here"),
        ("--layers 1 --ratio 0.3", "removes blocks alone: leave out --ratio, or it"),
        ("--layers 1 --select 0.3", "removes blocks alone: leave out --select, or it"),
        ("--layers 1 --dense first", "it is for --granularity weight"),
    ],
)
def test_the_granularity_layer_is_layers_and_nothing_else(options, words, place, capsys):
    status, error = told(f"prune model --out x --granularity layer {options}", capsys)
    assert status == 2 and words in error
    assert told("prune model --out one --granularity layer --layers 1", capsys)[0] == 0
    assert told("prune model --out other --layers 1", capsys)[0] == 0
    assert load_bundle(place / "one").cfg == load_bundle(place / "other").cfg


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--adapt", "--adapt goes to a latency: name --target-latency-ms"),
        ("--granularity kernel --target-macs 0.5",
         "--granularity kernel sets to 0 and leaves all MACs: name --ratio"),
        ("--granularity 2:4 --ratio 0.5",
         "--granularity 2:4 is half of every four: leave out --ratio"),
        ("--ratio 1.5", "--ratio 1.5: expected 0 to below 1"),
        ("--ratio nan", "--ratio nan: expected 0 to below 1"),
        ("--energy -0.1", "--energy -0.1: expected 0 to below 1"),
        ("--target-macs 0", "--target-macs 0: expected above 0 to 1"),
        ("--target-latency-ms -3", "--target-latency-ms -3: expected above 0"),
        ("--layer-keep 2", "--layer-keep 2: expected 0 to 1"),
        ("--multiple 0", "--multiple 0: expected 1 or more"),
        ("--sweep --data x.yaml --layers 2", "--sweep is of channels: leave out --layers"),
        ("--sweep --data x.yaml --granularity 2:4 --select 0.2",
         "--sweep is of channels: leave out --granularity and --select"),
        ("--sensitivity",
         "--sensitivity measures AP: name --data FILE, or --images DIR with --annotations FILE"),
        ("--recalibrate a.jpg", "--recalibrate a.jpg: expected a folder of pictures, or a "
         "description FILE as for --data (.yaml, .yml, .data)"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_the_words_of_the_command_line(options, words, place, capsys):
    assert told(f"prune model --out x {options}", capsys) == (2, f"error: {words}\n")


def test_a_folder_with_a_description_in_it_points_there(place, capsys):
    (place / "set").mkdir()
    (place / "set" / "broken.yaml").write_text("[")
    (place / "set" / "my.yaml").write_text("train: {images: a, annotations: b}\n")
    _, error = told("prune model --out x --recalibrate set", capsys)
    assert error.endswith("; set/my.yaml is one\n")
