"""A factorize step in a recipe: what it may say, and beside the other steps."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals
from yolo_slim.data.digits import make_digits
from yolo_slim.errors import InputError, RecipeError
from yolo_slim.pipeline.compress import compress
from yolo_slim.pipeline.factorizing import run_factorize
from yolo_slim.pipeline.finished_run import read_run
from yolo_slim.pipeline.prune_document import PLAN
from yolo_slim.pipeline.prune_step import require_possible
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import FactorizeStep, PruneStep
from yolo_slim.pipeline.summary import compress_report, keep_summary
from yolo_slim.prune.masks import zero_weights
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

HEAD = 'title = "t"\n[data]\ndescription = "digits/digits.yaml"\n[model]\nbundle = "model"\n'
FACTORIZE = '[[step]]\nverb = "factorize"\nname = "thin"\nmethod = "tucker"\ntarget_macs = 0.5\n'
PRUNE = '[[step]]\nverb = "prune"\nname = "cut"\nratio = 0.3\n'
QUANTIZE = '[[step]]\nverb = "quantize"\nname = "int8"\nimages = 8\n'


def silent(_: str):
    return nullcontext(lambda done, total: None)


@pytest.fixture
def place(tmp_path):
    make_digits(tmp_path / "digits", 16, 2, 128)
    cfg = build("yolov3-nano", 10, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    return tmp_path


def read(place, steps: str):
    (place / "r.toml").write_text(HEAD + steps)
    return read_recipe(place / "r.toml")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (FACTORIZE + "energy = 0.9\n",
         ["energy and target_macs both say how much: name one of them"]),
        (FACTORIZE.replace("tucker", "cp"), ["method", "'cp'"]),
        (FACTORIZE.replace("target_macs", "target_mac"), ["target_mac", "Did you mean 'target_"]),
        (QUANTIZE + FACTORIZE, ["step 2 (thin)", "put it first"]),
        (FACTORIZE + "energy = 0.0\n", ["energy"]),
    ],
)  # fmt: skip
def test_faults_are_told(steps, words, place):
    with pytest.raises(RecipeError) as caught:
        read(place, steps)
    assert all(word in str(caught.value) for word in words)


def test_a_target_out_of_reach_is_refused_before_the_first_step(place):
    read(place, FACTORIZE.replace("0.5", "0.001"))
    with pytest.raises(InputError, match=r"step 1 \(thin\): 0.1% of the macs cannot be reached"):
        compress(place / "r.toml", place / "run", Console(quiet=True), 1)
    assert not (place / "run").exists()


def test_it_goes_with_prune_and_quantize(place, monkeypatch):
    monkeypatch.setattr("yolo_slim.pipeline.compress.measure_latency", lambda *_, **__: {})
    how = "n_images = 16\nrecalibrate = 16\n"
    read(place, FACTORIZE + how + PRUNE + QUANTIZE)
    run = compress(place / "r.toml", place / "run", Console(quiet=True), 1)
    whole, thin, cut, int8 = run.steps
    assert totals(thin.bundle.cfg).macs <= 0.5 * totals(whole.bundle.cfg).macs
    assert totals(cut.bundle.cfg).macs < totals(thin.bundle.cfg).macs
    assert int8.bundle.precision is not None
    verbs = [event.verb for event in int8.bundle.history]
    assert verbs == ["factorize", "recalibrate", "absorb", "take", "fold", "quantize"]
    document = json.loads((thin.folder / PLAN).read_text())
    assert document["method"] == "tucker" and document["images"] == 16
    keep_summary(run)
    plans = compress_report(read_run(run.out)).plans
    assert set(plans) == {"thin", "cut"}
    assert len(plans["thin"].factors) == 1 + len(document["sections"])
    again = compress(place / "r.toml", place / "run", Console(quiet=True), 1)
    assert [done.row for done in again.steps] == [done.row for done in run.steps]


def test_lost_zeros_are_told():
    cfg = build("yolov3-nano", 2, 64)
    bundle = zero_weights(Bundle(cfg, random_weights(cfg)), "weight", 0.5)
    step = FactorizeStep(verb="factorize", name="f", energy=0.5)
    done = run_factorize(bundle, step, Surroundings(silent))
    assert done.plan.notes == ("zeros that prune has made are gone where a section was factored",)


def test_what_another_importance_may_cut_is_in_reach():
    cfg = build("yolov3-nano", 2, 64)
    halves = FactorizeStep(verb="factorize", name="f", target_macs=0.5)
    thin = run_factorize(Bundle(cfg, random_weights(cfg)), halves, Surroundings(silent)).bundle
    far = {"verb": "prune", "name": "p", "target_macs": 0.05}
    require_possible(thin, PruneStep(**far, importance="l1"))
    with pytest.raises(InputError, match="cannot be reached"):  # no BatchNorm in the middle
        require_possible(thin, PruneStep(**far, importance="gamma"))
