"""Layers, channels and zeros in one step: each as if alone, in the order that was asked for."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Conv, residual_blocks, totals
from yolo_slim.cli import main
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.digits import make_digits
from yolo_slim.errors import InputError, RecipeError
from yolo_slim.pipeline import pruning
from yolo_slim.pipeline.prune_step import dense_sections, require_possible, run_prune
from yolo_slim.pipeline.pruning import Surroundings, make_plan, prune_bundle
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.prune.layer_rank import gamma
from yolo_slim.prune.layers import plan_layers, take_layers
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

HEAD = 'title = "t"\n[data]\ndigits = true\n[model]\nzoo = "yolov3-nano"\nsize = 64\n'
TRAIN = '[[step]]\nverb = "train"\nname = "a"\nepochs = 1\n'
PRUNE = '[[step]]\nverb = "prune"\nname = "b"\n'


@contextmanager
def silent(_: str):
    yield lambda done, of: None


def step(**fields) -> PruneStep:
    return PruneStep(verb="prune", name="p", **fields)


@pytest.fixture
def bundle(random_bundle) -> Bundle:
    return random_bundle(build("yolov3-nano", 10, 64), dtype=torch.float32)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 6, 2, 128)
    return folder / "digits.yaml"


def same(one: Bundle, other: Bundle) -> bool:
    return one.cfg == other.cfg and all(
        torch.equal(tensor, other.weights[key]) for key, tensor in one.weights.items()
    )


def test_layers_go_to_a_latency(bundle, monkeypatch):
    monkeypatch.setattr(pruning, "cfg_latency_ms", lambda cfg, *_: len(residual_blocks(cfg)) + 0.5)
    fast = step(granularity="layer", target_latency_ms=3.7)
    done = run_prune(bundle, fast, Surroundings(silent))
    assert len(done.layers.dropped) == 3 and done.channels is None and done.planned_ms == 3.5
    assert same(done.bundle, run_prune(bundle, step(layers=3), Surroundings(silent)).bundle)
    idle = run_prune(bundle, step(granularity="layer", target_latency_ms=9), Surroundings(silent))
    assert idle.bundle is bundle and idle.notes == (
        "no layer went: 6.5 ms meet the target without any",
    )
    with pytest.raises(InputError, match=r"0\.3 ms cannot be reached by layers alone.*is 0\.5 ms"):
        run_prune(bundle, step(granularity="layer", target_latency_ms=0.3), Surroundings(silent))


@pytest.mark.parametrize("order", ["layers-first", "channels-first"])
def test_layers_and_channels_come_in_the_order_asked_for(order, bundle):
    both = run_prune(bundle, step(layers=2, ratio=0.4, order=order), Surroundings(silent))
    assert both.layers is not None and both.channels is not None
    verbs = [event.verb for event in both.bundle.history]
    ordered = {"layers-first": ["take_layers", "absorb", "take"],
               "channels-first": ["absorb", "take", "take_layers"]}  # fmt: skip
    assert verbs == ordered[order]
    by_hand = bundle
    for verb in order.split("-")[0], "rest":
        if verb == "layers" or (verb == "rest" and order == "channels-first"):
            by_hand = take_layers(by_hand, plan_layers(by_hand, 2, gamma).dropped)
        else:
            by_hand = prune_bundle(
                by_hand, make_plan(by_hand, step(ratio=0.4), Surroundings(silent)), True
            )
    assert same(both.bundle, by_hand)
    assert len(residual_blocks(both.bundle.cfg)) == 4


def test_a_target_is_a_share_of_the_network_before_its_layers_went(bundle):
    done = run_prune(bundle, step(layers=2, target_macs=0.5), Surroundings(silent))
    share = totals(done.bundle.cfg).macs / totals(bundle.cfg).macs
    assert 0.47 < share <= 0.5
    easy = run_prune(bundle, step(layers=6, target_params=0.99), Surroundings(silent))
    assert easy.channels is not None and easy.channels.ratio == 0  # the layers alone were enough


def test_layers_alone_leave_every_width(bundle):
    done = run_prune(bundle, step(layers=3), Surroundings(silent))
    assert done.channels is None and not done.zeros
    assert [e.verb for e in done.bundle.history] == ["take_layers"]


def test_layers_and_zeros_go_together(bundle):
    done = run_prune(bundle, step(layers=3, granularity="2:4"), Surroundings(silent))
    assert [event.verb for event in done.bundle.history] == ["take_layers", "zero"]
    assert {found.share for found in done.zeros if not found.left_alone} == {0.5}


def test_dense_sections_keep_their_names_where_layers_go_before(bundle):
    named = max(i for i, s in enumerate(bundle.cfg) if isinstance(s, Conv) and s.batch_normalize)
    asked = step(layers=2, granularity="weight", ratio=0.5, dense=(named,))
    done = run_prune(bundle, asked, Surroundings(silent))
    now = named - (len(bundle.cfg) - len(done.bundle.cfg))  # all that went lay before it
    dense = {
        index
        for index, section in enumerate(done.bundle.cfg)
        if isinstance(section, Conv) and (done.bundle.weights[f"{index}.conv.weight"] != 0).all()
    }
    assert now in dense and named not in dense


@pytest.mark.parametrize("rank", ["similarity", "drop-one"])
def test_ranks_that_ask_images_get_them_and_are_repeatable(rank, bundle, digits):
    data = read_dataset(digits, None, None, "train")
    asked = step(layers=2, layer_rank=rank, n_images=4)
    once, again = (run_prune(bundle, asked, Surroundings(silent, data, seed=3)) for _ in range(2))
    assert once.layers is not None and again.layers is not None
    assert once.layers.scores.tolist() == again.layers.scores.tolist()
    assert len(once.layers.dropped) == 2
    with pytest.raises(InputError, match=f"--layer-rank {rank} asks images: name --data"):
        run_prune(bundle, asked, Surroundings(silent))


def test_the_seed_of_a_step_draws_its_images(bundle, digits):
    data = read_dataset(digits, None, None, "train")
    fields = {"layers": 2, "layer_rank": "similarity", "n_images": 2}

    def scores(around_seed: int, **more) -> list[float]:
        around = Surroundings(silent, data, seed=around_seed)
        return run_prune(bundle, step(**fields, **more), around).layers.scores.tolist()

    assert scores(3, seed=5) == scores(5) == scores(5, seed=5) != scores(3)


def test_dense_words_and_numbers(bundle):
    cfg = bundle.cfg
    assert dense_sections(cfg, ("heads",)) == cfg.head_convs
    assert dense_sections(cfg, ("first", 3)) == {0, 3}
    assert dense_sections(cfg, ()) == set()
    with pytest.raises(InputError, match="--dense 4"):  # a shortcut
        require_possible(bundle, step(granularity="weight", ratio=0.5, dense=(4,)))


@pytest.mark.parametrize(
    ("fields", "told"),
    [({}, "exactly one of ratio"), ({"layers": 2, "ratio": 0.5, "target_macs": 0.5}, "exactly one"),
     ({"granularity": "weight"}, "name ratio"),
     ({"granularity": "2:4", "ratio": 0.5}, "leave out ratio"),
     ({"granularity": "kernel", "target_macs": 0.5}, "granularity kernel .* name ratio"),
     ({"adapt": True, "ratio": 0.5}, "^[^-]*adapt goes to a latency: name target_latency_ms"),
     ({"layers": 0}, "greater than or equal to 1")],
)  # fmt: skip
def test_a_step_says_once_how_much_goes(fields, told):
    with pytest.raises(ValidationError, match=told):
        step(**fields)


def test_a_recipe_says_the_same(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(HEAD + TRAIN + PRUNE + 'layers = 2\nlayer_rank = "drop-one"\n')
    found = read_recipe(path).step[1]
    assert isinstance(found, PruneStep)
    assert (found.layers, found.layer_rank, found.order) == (2, "drop-one", "layers-first")
    zeros = 'granularity = "kernel"\nratio = 0.5\nkernel_norm = "l2"\ndense = ["first", 3]\n'
    path.write_text(HEAD + TRAIN + PRUNE + zeros)
    found = read_recipe(path).step[1]
    assert isinstance(found, PruneStep) and found.dense == ("first", 3)
    for fault, told in {
        "layer = 2\n": "'layers'",
        'dense = ["last"]\nratio = 0.1\n': "dense",
    }.items():
        path.write_text(HEAD + TRAIN + PRUNE + fault)
        with pytest.raises(RecipeError, match=told):
            read_recipe(path)


def test_more_layers_than_there_are_are_told_before_any_training(tmp_path, digits, capsys):
    head = HEAD.replace("digits = true", f'description = "{digits}"')
    (tmp_path / "r.toml").write_text(head + TRAIN + PRUNE + "layers = 7\n")
    assert status(f"compress {tmp_path / 'r.toml'} --out {tmp_path / 'run'}") == 2
    told = capsys.readouterr().err
    assert "step 2 (b)" in told and "ask for 1 to 6" in told
    assert not list(tmp_path.glob("run/0*"))


# --- the command ----------------------------------------------------------------------------------


def status(command: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    return int(caught.value.code or 0)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    cfg = build("yolov3-nano", 10, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prune_layers_and_channels_tell_both(place, digits, capsys):
    command = f"prune model --layers 2 --layer-rank similarity --data {digits} --n-images 3 "
    assert status(command + "--target-macs 0.6 --out slim --json slim.json") == 0
    told = json.loads((place / "slim.json").read_text())
    assert told["after"]["macs"] <= 0.6 * told["before"]["macs"]
    assert [block["dropped"] for block in told["layers"]].count(True) == 2
    dropped = [b["score"] for b in told["layers"] if b["dropped"]]
    assert max(dropped) <= min(b["score"] for b in told["layers"] if not b["dropped"])
    assert "2 of 6 blocks" in capsys.readouterr().out
    assert load_bundle(place / "slim").history[0].verb == "take_layers"


def test_layers_alone_cut_no_channel(place):
    assert status("prune model --layers 1 --out slim --json slim.json") == 0
    assert json.loads((place / "slim.json").read_text())["ratio"] is None
    assert len(residual_blocks(load_bundle(place / "slim").cfg)) == 5


@pytest.mark.parametrize(
    ("granularity", "gains"),
    [
        ("2:4", "TensorRT"),
        ("kernel", "nothing becomes faster"),
        pytest.param("weight", "nothing becomes faster", marks=pytest.mark.slow),
    ],
)
def test_prune_to_zeros_tells_each_layer_and_who_gains(granularity, gains, place, capsys):
    assert status(f"prune model --granularity {granularity} --out z --json z.json") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert gains in out and "dense: read by a head" in out
    told = json.loads((place / "z.json").read_text())
    assert told["before"]["macs"] == told["after"]["macs"]
    assert not any(found["zeros"] for found in told["zeros"] if found["left_alone"])
    share = sum(f["zeros"] for f in told["zeros"]) / sum(f["weights"] for f in told["zeros"])
    assert 0.4 < share < 0.7  # half of the kernels, of which some are larger
    assert load_bundle(place / "z").was_zeroed


@pytest.mark.parametrize(
    ("options", "told"),
    [("--layers 7", "ask for 1 to 6"), ("--layers 2 --layer-rank drop-one", "name --data"),
     ("--granularity weight --dense head", "--dense head"),
     ("--granularity 2:4 --ratio 0.5", "leave out --ratio"),
     ("--granularity weight --target-macs 0.5", "name --ratio")],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(options, told, place, capsys):
    assert status(f"prune model {options} --out x") == 2
    error = capsys.readouterr().err
    assert told in " ".join(error.split()) and "Traceback" not in error
    assert not (place / "x").exists()


def test_zeros_stay_through_the_command_that_trains(place, digits, capsys):
    assert status("prune model --granularity 2:4 --out z") == 0
    assert status(
        f"train z --data {digits} --epochs 1 --batch-size 3 --workers 0 --precision float32 "
        "--out run"
    ) == 0  # fmt: skip
    assert "are 0 and stay 0" in capsys.readouterr().out
    before, after = load_bundle(place / "z"), load_bundle(place / "run" / "bundle")
    moved = 0
    for key, kernel in before.weights.items():
        if key.endswith("conv.weight"):
            assert torch.equal(kernel == 0, after.weights[key] == 0)
            moved += int((kernel != after.weights[key]).sum())
    assert moved > 1000
