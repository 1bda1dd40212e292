"""`prune`: its options reach the plan, and its JSON says what becomes of every convolution."""

from __future__ import annotations

import json

import pytest

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import Conv, Select, totals
from yolo_slim.cli import main, size_print
from yolo_slim.errors import InputError
from yolo_slim.pipeline import timing
from yolo_slim.pipeline.runtimes import RUNTIMES
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_energy, plan_ratio, plan_target
from yolo_slim.prune.scores import Scoring
from yolo_slim.zoo import build


@pytest.fixture
def model(tmp_path, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    bundle.save(tmp_path / "model")
    return bundle


def pruned_widths(tmp_path, options: str) -> list[int]:
    command = f"prune {tmp_path}/model --out {tmp_path}/slim --json {tmp_path}/told.json {options}"
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 0
    cfg = load_bundle(tmp_path / "slim").cfg
    return [section.filters for section in cfg if isinstance(section, Conv)]


def test_selection_alone_cuts_no_channel(tmp_path, random_bundle, capsys):
    random_bundle(build("preresnet20", 10, 32)).save(tmp_path / "model")
    command = f"prune {tmp_path}/model --select 0.4 --out {tmp_path}/s --json {tmp_path}/s.json"
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["ratio"] is None and told["convolutions"] == []
    read = [(row["after"], row["before"]) for row in told["entrances"]]
    assert sum(after for after, _ in read) == pytest.approx(
        0.6 * sum(before for _, before in read), abs=1
    )
    assert "what the blocks read" in capsys.readouterr().out
    cfg = load_bundle(tmp_path / "s").cfg
    assert {len(s.channels) for s in cfg if isinstance(s, Select)} <= {after for after, _ in read}


def test_size_and_speed_are_told_before_and_after(tmp_path, model, capsys):
    command = f"prune {tmp_path}/model --out {tmp_path}/slim"
    for more, timed in (("", False), ("--latency", True), (f"--json {tmp_path}/told.json", True)):
        with pytest.raises(SystemExit) as ended:
            main(f"{command} {more}".split())
        assert ended.value.code == 0
        assert (" ms (" in " ".join(capsys.readouterr().out.split())) is timed
    told = json.loads((tmp_path / "told.json").read_text())
    for side, folder in (("before", "model"), ("after", "slim")):
        total = totals(load_bundle(tmp_path / folder).cfg)
        assert (told[side]["parameters"], told[side]["macs"]) == (total.parameters, total.macs)
        assert told[side]["latency_ms"] > 0
        file = tmp_path / folder / "model.safetensors"
        assert told[side]["file_bytes"] == file.stat().st_size


@pytest.mark.parametrize("how", ["--latency", "--target-latency-ms 1000"])
def test_latency_is_that_of_the_engine_that_was_named(how, tmp_path, model, monkeypatch):
    asked = []

    def find(name):
        asked.append(name)
        return RUNTIMES[name]

    monkeypatch.setattr(timing, "find_runtime", find)
    with pytest.raises(SystemExit) as ended:
        main(f"prune {tmp_path}/model --out {tmp_path}/slim {how} --runtime opencv".split())
    assert ended.value.code == 0
    assert set(asked) == {"opencv"}


def test_what_cannot_be_timed_is_saved_and_said(tmp_path, model, capsys, monkeypatch):
    def fails(*_):
        raise InputError("no such operator")

    monkeypatch.setattr(size_print, "latencies_ms", fails)
    with pytest.raises(SystemExit) as ended:
        main(f"prune {tmp_path}/model --out {tmp_path}/slim --json {tmp_path}/told.json".split())
    assert ended.value.code == 0
    assert "latency is not measured: no such operator" in capsys.readouterr().out
    assert json.loads((tmp_path / "told.json").read_text())["after"]["latency_ms"] is None


CASES = {
    "--ratio 0.4 --importance gamma-kernel --reduce first": lambda b: plan_ratio(
        b, 0.4, Scoring("gamma-kernel", "first")
    ),
    "--ratio 0.4 --score sum --which regular": lambda b: plan_ratio(
        b, 0.4, Scoring(reduce="sum", which="regular")
    ),
    "--target-macs 0.5 --importance fpgm --multiple 4 --rounding nearest": lambda b: plan_target(
        b, 0.5, "macs", Scoring("fpgm"), Limits(multiple=4, rounding="nearest")
    ),
    "--energy 0.05 --importance l2 --layer-keep 0.5": lambda b: plan_energy(
        b, 0.05, Scoring("l2"), Limits(0.5)
    ),
    "--importance random --seed 7": lambda b: plan_ratio(b, 0.5, Scoring("random", seed=7)),
}


@pytest.mark.parametrize("options", CASES)
def test_options_reach_the_plan(options, model, tmp_path):
    expected = CASES[options](model)
    assert pruned_widths(tmp_path, options) == [after for _, _, after in expected.widths()]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["ratio"] == expected.ratio
    rows = expected.rows()
    assert [row["after"] for row in told["convolutions"]] == [row.after for row in rows]
    assert [row["score_median"] for row in told["convolutions"]] == [r.score_median for r in rows]
    assert any(row["held"] for row in told["convolutions"])


@pytest.mark.parametrize("floor", ["--layer-keep 0.5", "--multiple 16", "--layer-keep 1"])
def test_a_ratio_out_of_reach_names_the_largest_and_writes_nothing(floor, model, tmp_path, capsys):
    command = f"prune {tmp_path}/model --out {tmp_path}/slim {floor} --ratio"
    with pytest.raises(SystemExit) as ended:
        main(f"{command} 0.99".split())
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "--ratio 0.99 is out of reach" in told and floor in told
    assert not (tmp_path / "slim").exists()
    largest = told.split("at most ")[1].split(" of the channels")[0]
    with pytest.raises(SystemExit) as ended:
        main(f"{command} {largest}".split())
    assert ended.value.code == 0


def test_a_floor_that_decides_is_told(model, tmp_path, capsys):
    pruned_widths(tmp_path, "--ratio 0.4 --layer-keep 0.5")
    printed = " ".join(capsys.readouterr().out.split())
    (told,) = json.loads((tmp_path / "told.json").read_text())["notes"]
    assert f"note: {told}" in printed and "the largest --ratio without that is 0." in told
