"""Which channels gammas call free, worked out by hand, and what is said and done about it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console
from sparse_training import TINY, Pictures

from yolo_slim.bundle import Bundle
from yolo_slim.data.loader import collate
from yolo_slim.prune.scores import Scoring, score_classes
from yolo_slim.train.free_channels import (
    dead_share,
    energy_curve,
    freed_by_layer,
    freed_share,
    score_knee,
)
from yolo_slim.train.gamma_watch import has_ripened
from yolo_slim.train.gammas import Gammas, judged
from yolo_slim.train.loop import train
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity_settings import SparsitySettings
from yolo_slim.train.verdict import Verdict, verdict
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


def made(layers: list[int], classes: list[int] | None = None) -> Gammas:
    """Gammas of layers by number; without `classes` each is a channel of its own."""
    n = len(layers)
    widths = np.bincount(layers).tolist()
    classes = list(range(n)) if classes is None else classes
    return Gammas(
        tuple(range(len(widths))), tuple(widths), np.ones(n, bool), np.array(layers),
        np.array(classes), np.ones(n),
    )  # fmt: skip


def test_a_gamma_is_dead_beside_the_mean_of_its_layer():
    """Means are 1 and 0.01: 0.005 is dead in the first and alive in the second."""
    gammas = made([0, 0, 0, 1, 1, 2, 2])
    values = np.array([0.005, 1.995, -1.0, 0.005, 0.015, 0.0, 0.0])
    assert dead_share(values, gammas, 0.01) == pytest.approx(3 / 7)  # with the zeros of the third
    assert dead_share(values, gammas, 0.001) == pytest.approx(2 / 7)


def test_a_layer_frees_what_holds_little_of_its_energy():
    """Squares 1e-4, 4e-4, 0.25, 1 of 1.2505: the first is 8e-5 of it, the first two 4e-4."""
    gammas = made([0, 0, 0, 0])
    values = np.array([0.5, -0.01, 1.0, 0.02])
    assert freed_by_layer(values, gammas, 1e-4).tolist() == [False, True, False, False]
    assert freed_by_layer(values, gammas, 1e-3).tolist() == [False, True, False, True]
    assert freed_by_layer(values, gammas, 0.9).tolist() == [True, True, False, True]


def test_a_layer_in_which_none_stands_out_frees_none_and_a_dead_one_keeps_one():
    gammas = made([0] * 100 + [1] * 3)
    values = np.concatenate([np.linspace(0.9, 1.1, 100), np.zeros(3)])
    freed = freed_by_layer(values, gammas, 0.5)
    assert not freed[:100].any() and freed[100:].sum() == 2


def test_coupled_channels_are_free_where_all_of_them_are():
    gammas = made([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 3])
    values = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    assert freed_by_layer(values, gammas).tolist() == [True, False, False, True]
    assert freed_share(values, gammas) == 0.5


def test_the_curve_by_hand():
    """Layers of energy 1 and 4 count alike: half of each lies in one gamma of two."""
    gammas = made([0, 0, 1, 1])
    values = np.array([0.6, 0.8, 2 * 0.6, 2 * 0.8])
    curve = energy_curve(values, gammas)
    assert curve.ratios == (0, 0.25, 0.5, 0.75, 1)
    assert curve.kept == pytest.approx((1, 0.82, 0.64, 0.32, 0), abs=1e-12)
    assert [curve.ratio_at(loss) for loss in (0.1, 0.18, 0.35, 0.36, 1)] == [0, 0.25, 0.25, 0.5, 1]


@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny-mobilenetv2"])
def test_the_ranking_is_that_of_prune(name):
    """Along the curve the lowest scores go first: what it keeps is what `prune` by gamma would."""
    cfg = build(name, 2, 64)
    weights, gammas = random_weights(cfg), judged(cfg)
    for index in gammas.sections:
        gamma = weights[f"{index}.bn.weight"]
        weights[f"{index}.bn.weight"] = torch.rand(len(gamma), generator=torch.Generator())
    bundle = Bundle(cfg, weights)
    from yolo_slim.cfg import couple

    by_gamma = Scoring("gamma", normalize="layer")
    scores = score_classes(bundle, couple(cfg), by_gamma)
    values = gammas.of_weights(weights).double().numpy()
    kept = np.array(energy_curve(values, gammas).kept)
    energy = np.zeros(gammas.n_classes)
    sums = np.bincount(gammas.layers, weights=values**2) / np.bincount(gammas.layers)
    np.add.at(energy, gammas.classes, values**2 / sums[gammas.layers])
    expected = energy[np.argsort(scores[np.isfinite(scores)], kind="stable")]
    assert gammas.n_classes == np.isfinite(scores).sum()
    assert -np.diff(kept) * energy.sum() == pytest.approx(expected, abs=1e-9)


# --- the verdict ----------------------------------------------------------------------------------


def with_dead(share: float) -> Bundle:
    """yolov3-nano whose gammas are 0 for `share` of the channels, whole classes, and near 1."""
    cfg = build("yolov3-nano", 2, 32)
    weights, gammas = random_weights(cfg), judged(cfg)
    draw = np.random.default_rng(0)
    dead = draw.permutation(gammas.n_classes) < share * gammas.n_classes
    values = np.where(dead[gammas.classes], 0.0, draw.uniform(0.8, 1.2, len(gammas)))
    for layer, index in enumerate(gammas.sections):
        mine = torch.from_numpy(values[gammas.layers == layer]).float()
        weights[f"{index}.bn.weight"] = mine
    return Bundle(cfg, weights)


def test_the_verdict_finds_what_is_dead():
    found = verdict(with_dead(0.6))
    for shares in (found.by_layer, found.over_all):
        assert list(shares) == [1e-4, 1e-3, 1e-2]
        assert all(share == pytest.approx(0.6, abs=0.02) for share in shares.values())
    assert found.knee == pytest.approx(0.6, abs=0.02)
    alive = verdict(with_dead(0.0))
    assert alive.knee is None and set(alive.by_layer.values()) == {0.0}
    assert "have no knee" in "\n".join(alive.lines())


def test_the_knee_of_scores_is_where_low_ones_end():
    """Half are near 0; of the rest the largest is far above all, which moves nothing."""
    gammas = made([0] * 100)
    low, high = np.linspace(0, 0.01, 50), np.linspace(0.02, 2, 50)
    for largest in (2.0, 50.0):
        values = np.concatenate([low, high[:-1], [largest]])
        assert score_knee(values, gammas) == pytest.approx(0.5, abs=0.03)
    assert score_knee(np.linspace(0, 1, 100), gammas) is None
    assert score_knee(np.ones(100), gammas) is None


PUBLISHED = (
    (0.0, 0.627), (0.7, 0.627), (0.8, 0.626), (0.88, 0.621), (0.89, 0.621), (0.9, 0.484),
    (0.91, 0.14), (0.92, 0.00118),
)  # fmt: skip


def test_a_known_curve_says_what_is_free_and_where_it_breaks():
    found = Verdict(100, {0.01: 0.4}, {1e-4: 0.4}, {1e-4: 0.4}, 0.4, PUBLISHED)
    assert found.lines()[-1] == (
        "at AP -0.005 about 86% of the channels are free; the knee is at 0.89"
    )
    ap = found.document()["ap"]
    assert ap["knee"] == 0.89 and ap["free"] == pytest.approx(0.864)
    assert ap["curve"][5] == {"ratio": 0.9, "AP": 0.484}


def test_of_a_model_that_does_not_detect_nothing_is_said():
    found = Verdict(
        100, {}, {1e-4: 0.4}, {1e-4: 0.4}, 0.4, tuple((r, a / 100) for r, a in PUBLISHED)
    )
    assert found.lines()[-1].startswith("The uncut model does not detect on these data (AP 0.006)")
    assert "of the channels are free" not in "\n".join(found.lines())
    ap = found.document()["ap"]
    assert ap["knee"] is None and ap["free"] is None and len(ap["curve"]) == len(PUBLISHED)


def test_a_sparse_training_ends_with_a_verdict_in_words_and_numbers(tmp_path):
    asked: list[Bundle] = []

    def curve(bundle: Bundle):
        asked.append(bundle)
        return PUBLISHED

    console = Console(file=StringIO(), width=200)
    settings = TrainSettings(epochs=2, batch_size=2, sparsity=0.9, lr=5e-3, precision="float32")
    bundle = Bundle(TINY, random_weights(TINY))
    out = train(
        bundle, Pictures(), collate, settings, tmp_path, console=console, ap_curve=curve
    )  # fmt: skip
    document = json.loads((tmp_path / "sparsity.json").read_text())
    assert document == verdict(out, lambda _: PUBLISHED).document()
    assert asked == [out]
    text = console.file.getvalue()
    assert "the knee is at 0.89" in text and "of 8 channels could go" in text
    gammas = judged(TINY)
    values = gammas.of_weights(out.weights).double().numpy()
    assert document["dead_below_layer_mean"]["0.01"] == dead_share(values, gammas, 0.01) > 0
    lines = [line for line in text.splitlines() if "  dead " in line]
    with (tmp_path / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["gamma_dead_0.01"]]
    assert len(lines) == len(rows) == 2
    for line, row in zip(lines, rows, strict=True):
        assert f"dead {float(row['gamma_dead_0.01']):.0%}" in line
        assert float(row["gamma_dead_0.001"]) <= float(row["gamma_dead_0.1"])

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"), {"histograms": 0}).Reload()
    assert [event.step for event in events.Histograms("gamma")] == [0, 1]
    assert [event.step for event in events.Histograms("gamma/steps")] == list(range(1, 9))

    plain = tmp_path / "plain"
    train(bundle, Pictures(), collate, TrainSettings(epochs=1, precision="float32"), plain)
    assert not (plain / "sparsity.json").exists()


# --- the end of a training that has done what it can ----------------------------------------------


@pytest.mark.parametrize(
    ("freed", "patience", "epochs", "ripe"),
    [
        ([0.1, 0.5, 0.5, 0.5], 0, 4, False),  # off
        ([0.5, 0.5, 0.5], 2, 4, False),  # one of the two lies before the middle
        ([0.5, 0.5, 0.5, 0.5], 2, 4, True),
        ([0.1, 0.2, 0.3, 0.4], 2, 4, False),
        ([0.1, 0.5, 0.4, 0.3], 2, 4, True),  # what was lost again is no growth
        ([0.5, 0.5, 0.503, 0.504], 2, 4, True),
        ([0.5, 0.5, 0.503, 0.506], 2, 4, False),  # slowly, and yet
        ([0.5], 3, 1, False),
        ([], 1, 1, False),
    ],
)
def test_a_training_ripens_where_it_frees_no_more(freed, patience, epochs, ripe):
    assert has_ripened(freed, patience, epochs) is ripe


def test_it_then_ends_well_and_stays_ended(tmp_path):
    """Nothing is freed by a pull this weak: after the middle (5 of 10) two epochs are waited."""
    console = Console(file=StringIO(), width=200)
    settings = TrainSettings(
        epochs=10, batch_size=4, sparsity=1e-6, precision="float32", validations=1,
        sparse=SparsitySettings(patience=2),
    )  # fmt: skip
    scores: list[float] = []

    def score(network) -> dict[str, float]:
        scores.append(float(network.get_parameter("0.conv.weight").detach().double().sum()))
        return {"AP": 0.5}

    bundle = Bundle(TINY, random_weights(TINY))
    out = train(
        bundle, Pictures(), collate, settings, tmp_path, score=score, console=console
    )  # fmt: skip
    assert "stopped after epoch 7 of 10: 0.0% of the channels are free" in console.file.getvalue()
    assert out.history[-1].settings["epochs"] == 7
    with (tmp_path / "metrics.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file) if row["channels_free"]] == [
            *range(7)
        ]
    # What comes out is the average, and it was scored, though the tenth epoch was to be.
    assert scores == [float(out.weights["0.conv.weight"].double().sum())]
    state = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    averaged = state["state_dict"]["network.0.conv.weight"]
    assert torch.equal(out.weights["0.conv.weight"], averaged)
    assert not torch.equal(averaged, state["current_model_state"]["network.0.conv.weight"])

    again = train(bundle, Pictures(), collate, settings, tmp_path, resume=True, console=console)
    assert all(torch.equal(again.weights[k], v) for k, v in out.weights.items())
    assert again.history == out.history
    assert "has ended at epoch 7, as --sparsity-patience says: nothing" in console.file.getvalue()
    longer = replace(settings, epochs=12)  # whose middle is later, and over by now
    more = train(bundle, Pictures(), collate, longer, tmp_path, resume=True, console=console)
    assert more.history[-1].settings["epochs"] == 8


def test_without_patience_it_goes_to_the_end(tmp_path):
    settings = TrainSettings(epochs=8, batch_size=8, sparsity=1e-6, precision="float32")
    out = train(Bundle(TINY, random_weights(TINY)), Pictures(), collate, settings, tmp_path)
    assert out.history[-1].settings["epochs"] == 8
