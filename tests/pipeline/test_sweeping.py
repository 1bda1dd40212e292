"""`prune --sweep`, and what a cut asks of data and of the clock."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from core_zoo import by_night

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import Conv, couple, totals
from yolo_slim.cli import main
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.digits import make_digits
from yolo_slim.errors import InputError
from yolo_slim.pipeline import pruning, sweeping
from yolo_slim.pipeline.prune_step import run_prune
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.pipeline.sweeping import Sweep, sweep_table, verdict
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_most
from yolo_slim.prune.sensitivity import groups
from yolo_slim.prune.sweep import Point
from yolo_slim.report.plan_tables import PlanTables
from yolo_slim.zoo import build

N_TRAIN, N_VAL = 18, 2


def status(command: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, N_TRAIN, N_VAL, 128)
    return folder / "digits.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch, random_bundle) -> Path:
    random_bundle(build("yolov3-nano", 10, 64), dtype=torch.float32).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def by_size(monkeypatch):
    """AP is 0.6 down to 40 % of the parameters, 0 below; a latency is the number of MACs."""
    whole = totals(build("yolov3-nano", 10, 64)).parameters

    def bundle_scorer(data):
        def numbers(bundle):
            AP = 0.6 if totals(bundle.cfg).parameters > 0.4 * whole else 0.0
            return {"AP": AP, "AP50": AP}

        return numbers

    for module in (pruning, sweeping):
        monkeypatch.setattr(module, "bundle_scorer", bundle_scorer)
    monkeypatch.setattr(pruning, "cfg_latency_ms", lambda cfg, *_: float(totals(cfg).macs))
    monkeypatch.setattr(
        sweeping, "bundle_latency_ms", lambda bundle, *_: float(totals(bundle.cfg).macs)
    )


def test_a_sweep_finds_the_cliff_and_writes_table_numbers_and_page(place, digits, by_size, capsys):
    assert status(f"prune model --sweep --sensitivity --data {digits} --out s --json s.json") == 0
    told = json.loads((place / "s.json").read_text())
    points = told["points"]
    good = [p for p in points if p["AP"] > 0]
    assert told["knee"] == good[-1]["ratio"] == max(p["ratio"] for p in good)
    edge = min(p["ratio"] for p in points if p["AP"] == 0)
    assert 0 < edge - told["knee"] <= 0.02
    out = " ".join(capsys.readouterr().out.split())
    assert f"the knee is at {told['knee']:.2f}" in out and told["verdict"] in out
    with (place / "s/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ratio"]) for row in rows] == [p["ratio"] for p in points]
    assert {"device", "date", "commit", "seed"} <= rows[0].keys()
    assert json.loads((place / "s/sweep.json").read_text()) == told
    page = (place / "s/sweep.html").read_text()
    assert f"knee {told['knee']:.2f}" in page and "Viridis" in page
    cfg = load_bundle(place / "model").cfg
    assert len(told["layers"]) == len(groups(cfg, couple(cfg)))
    assert not (place / "s/model.cfg").exists()  # nothing was cut


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "--sweep measures AP: name --data"),
        ("--data {digits} --ratio 0.3", "leave out --ratio 0.3"),
        ("--data {digits} --layers 2", "is of channels: leave out --layers"),
    ],
)
def test_what_a_sweep_does_not_go_with_is_named(options, told, place, digits, capsys):
    assert status(f"prune model --sweep --out s {options.format(digits=digits)}") == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (place / "s").exists()


def test_recalibration_measures_the_cut_network_on_training_images(place, digits):
    assert status("prune model --ratio 0.3 --out plain") == 0
    assert status(f"prune model --ratio 0.3 --recalibrate {digits} --out fresh") == 0
    plain, fresh = load_bundle(place / "plain"), load_bundle(place / "fresh")
    assert fresh.cfg == plain.cfg
    assert fresh.history[-1].settings == {"images": N_TRAIN}
    for index, section in enumerate(fresh.cfg):
        if isinstance(section, Conv) and section.batch_normalize:
            key = f"{index}.bn.running_mean"
            assert not torch.equal(plain.weights[key], fresh.weights[key])


def test_taylor_asks_the_loss_on_images(place, digits, capsys):
    assert status("prune model --ratio 0.3 --importance taylor --out t") == 2
    assert "--importance taylor asks images" in " ".join(capsys.readouterr().err.split())
    command = f"prune model --ratio 0.3 --importance taylor --data {digits} --n-images 16 --out"
    assert status(f"{command} t") == 0 and status(f"{command} again") == 0
    found, again = load_bundle(place / "t"), load_bundle(place / "again")
    assert found.cfg == again.cfg
    assert status("prune model --ratio 0.3 --out g") == 0
    assert found.cfg != load_bundle(place / "g").cfg


@pytest.mark.parametrize("adapt", ["", *by_night("--adapt --data {digits}")])
def test_a_latency_is_reached(adapt, place, digits, by_size, capsys):
    whole = float(totals(load_bundle(place / "model").cfg).macs)
    command = f"prune model --target-latency-ms {0.7 * whole} {adapt.format(digits=digits)} --out"
    assert status(f"{command} slim --json slim.json") == 0
    macs = totals(load_bundle(place / "slim").cfg).macs
    assert 0.5 * whole < macs <= 0.7 * whole
    document = json.loads((place / "slim.json").read_text())
    assert document["planned_latency_ms"] == macs  # as timed here
    assert any("when it was chosen" in note for note in PlanTables.of(document).notes)
    if adapt:
        assert "steps by a table of layers" in " ".join(capsys.readouterr().out.split())


def test_a_latency_out_of_reach_names_the_least(place, by_size, capsys):
    assert status("prune model --target-latency-ms 5 --layer-keep 0.5 --out slim") == 2
    assert "5 ms cannot be reached" in " ".join(capsys.readouterr().err.split())
    assert not (place / "slim").exists()


@pytest.mark.parametrize("how", [{}, {"adapt": True}, {"importance": "taylor"}])
def test_a_latency_out_of_reach_takes_one_timing(how, place, digits, by_size, monkeypatch):
    asked, told = [], []

    @contextmanager
    def progress(text):
        told.append(text)
        yield lambda done, of: None

    def timed(cfg, *_):
        asked.append(totals(cfg).macs)
        return float(asked[-1])

    monkeypatch.setattr(pruning, "cfg_latency_ms", timed)
    monkeypatch.setattr(pruning, "taylor_evidence", None)  # no work is begun
    bundle = load_bundle(place / "model")
    step = PruneStep(verb="prune", name="p", target_latency_ms=5.0, layer_keep=0.5, **how)
    data = read_dataset(digits, None, None, "train")
    with pytest.raises(InputError, match="5 ms cannot be reached") as refused:
        run_prune(bundle, step, Surroundings(progress, data))
    least = totals(plan_most(bundle, limits=Limits(0.5)).narrowed).macs
    assert asked == [least] and f"takes {least:.3g} ms" in str(refused.value)
    assert told == ["the narrowest network"]


def test_timings_advance_a_bar_and_none_is_done_twice(place, by_size, monkeypatch):
    asked, bars = [], {}

    @contextmanager
    def progress(text):
        bars[text] = []
        yield lambda done, of: bars[text].append((done, of))

    def timed(cfg, *_):
        asked.append(cfg)
        return float(totals(cfg).macs)

    monkeypatch.setattr(pruning, "cfg_latency_ms", timed)
    bundle = load_bundle(place / "model")
    target = 0.7 * totals(bundle.cfg).macs
    step = PruneStep(verb="prune", name="p", target_latency_ms=target)
    run_prune(bundle, step, Surroundings(progress))
    assert len(set(asked)) == len(asked) > 5
    steps = bars["cut networks timed"]
    assert [done for done, _ in steps] == list(range(2, len(asked) + 1))
    assert all(done < of for done, of in steps)


def test_adapt_needs_a_latency_and_data(place, capsys):
    assert status("prune model --adapt --ratio 0.3 --out slim") == 2
    assert "--adapt goes to a latency" in " ".join(capsys.readouterr().err.split())
    assert status("prune model --adapt --target-latency-ms 5 --out slim") == 2
    assert "--adapt asks images" in " ".join(capsys.readouterr().err.split())


def curve(*pairs: tuple[float, float]) -> Sweep:
    return Sweep.of([Point(ratio, AP, AP, 100, 100) for ratio, AP in pairs])


def test_the_verdict_tells_what_is_free_and_where_the_knee_is():
    told = verdict(curve((0, 0.62), (0.5, 0.62), (0.8, 0.60), (0.9, 0.1)))
    assert "within 0.005 of 0.620 up to ratio 0.57" in told
    assert "the knee is at 0.80: AP 0.600 there, and 0.100 at 0.90" in told
    assert "no knee" in verdict(curve((0, 0.62), (0.5, 0.62)))


def test_of_a_model_that_does_not_detect_nothing_is_said(
    place, digits, by_size, capsys, monkeypatch
):
    found = curve((0, 0.0099), (0.5, 0.0099), (0.8, 0.009), (0.9, 0.001))
    assert found.knee is None and not found.detects
    told = verdict(found)
    assert told.startswith("The uncut model does not detect on these data (AP 0.010)")
    assert "Is it trained?" in told and "knee" not in told
    assert "the knee is at" in verdict(curve((0, 0.01), (0.5, 0.01), (0.8, 0.0099), (0.9, 0)))
    nothing = dict.fromkeys(("AP", "AP50"), 0.0)
    monkeypatch.setattr(sweeping, "bundle_scorer", lambda _: lambda _: nothing)
    monkeypatch.setattr(sweeping, "recalibrate", lambda bundle, _: bundle)  # takes most of the time
    assert status(f"prune model --sweep --sensitivity --data {digits} --out s --json s.json") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "does not detect on these data (AP 0.000)" in out
    assert "knee" not in out and "stays within" not in out and "cost the most" not in out
    assert json.loads((place / "s.json").read_text())["knee"] is None
    assert "AP there" not in (place / "s/sweep.html").read_text()


def test_the_table_has_latencies_only_where_they_were_measured():
    assert len(sweep_table(curve((0, 0.6), (0.5, 0.3)).points)[0]) == 5
    timed = [Point(0, 0.6, 0.7, 100, 100, 8.0), Point(0.5, 0.3, 0.4, 40, 50, 4.0)]
    assert sweep_table(timed)[1:] == [
        ["0.000", "0.6000", "0.7000", "100.0%", "100.0%", "8.0"],
        ["0.500", "0.3000", "0.4000", "50.0%", "40.0%", "4.0"],
    ]
