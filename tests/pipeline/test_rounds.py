"""A repeat step prunes and trains in turn, and goes on with the last round that AP allows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse, render
from yolo_slim.data.digits import make_digits
from yolo_slim.errors import InputError, RecipeError
from yolo_slim.pipeline import detecting
from yolo_slim.pipeline.compress import compress
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.step_folder import Done
from yolo_slim.pipeline.steps import StepRunner
from yolo_slim.report.model import StepRow
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

HEAD = """
title = "rounds"
[data]
description = "digits/digits.yaml"
[model]
zoo = "yolov3-nano"
size = 64
[[step]]
verb = "train"
name = "teacher"
epochs = 1
"""
ROUNDS = """
[[step]]
verb = "repeat"
name = "slim"
times = 3
max_ap_drop = 0.02
[[step.step]]
verb = "prune"
name = "cut"
ratio = 0.3
[[step.step]]
verb = "train"
name = "healed"
epochs = 1
teacher = "teacher"
"""
OF_A_BUNDLE = HEAD.split("[model]")[0] + '[model]\nbundle = "model"\n'
LAST = '[[step]]\nverb = "quantize"\nname = "int8"\n'


@pytest.fixture
def recipe(tmp_path) -> Path:
    make_digits(tmp_path / "digits", 2, 2, 128)
    path = tmp_path / "r.toml"
    path.write_text(HEAD + ROUNDS + LAST)
    return path


@pytest.fixture
def scripted(monkeypatch):
    """Steps that do nothing, and have the AP that is written for their name."""
    APs: dict[str, float] = {}
    given: dict[str, list[str]] = {}
    keys: dict[str, str] = {}

    def step(self, number, step, bundle, done, key):
        given[step.name] = [event.verb for event in bundle.history]
        keys[step.name] = key
        row = StepRow(step.name, step.verb, AP=APs.get(step.name, 0.5))
        folder = self.out / f"{number:02d}-{step.name}"
        return Done(step.name, folder, row, bundle.then(step.name, {}))

    def baseline(self, key):
        row = StepRow("model", "start", AP=0.5)
        return Done("model", self.out / "00-model", row, self.start.bundle)

    monkeypatch.setattr(StepRunner, "step", step)
    monkeypatch.setattr(StepRunner, "baseline", baseline)
    return APs, given, keys


def run(recipe: Path, out: Path):
    return compress(recipe, out, Console(quiet=True), 1)


def test_all_rounds_go_on_from_each_other_where_ap_holds(recipe, tmp_path, scripted):
    APs, given, keys = scripted
    APs |= {"teacher": 0.5, "slim-1-cut": 0.1, "slim-3-healed": 0.48}
    done = run(recipe, tmp_path / "run")
    names = [f"slim-{n}-{what}" for n in (1, 2, 3) for what in ("cut", "healed")]
    assert [d.name for d in done.steps] == ["teacher", *names, "int8"]
    assert given["int8"] == ["teacher", *names]
    assert len(set(keys.values())) == len(keys)  # no round is taken for another one
    assert done.steps[1].folder.name == "02-slim-1-cut"


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_the_last_round_that_ap_allows_goes_on(recipe, tmp_path, scripted, failing):
    APs, given, _ = scripted
    APs[f"slim-{failing}-healed"] = 0.479
    done = run(recipe, tmp_path / "run")
    kept = [f"slim-{n}-{what}" for n in range(1, failing) for what in ("cut", "healed")]
    assert given["int8"] == ["teacher", *kept]
    told = {d.name: d.row.verb for d in done.steps}
    assert told[f"slim-{failing}-healed"] == "train (not kept)"
    assert all("not kept" not in told[name] for name in kept)
    assert f"slim-{failing + 1}-cut" not in told


def test_pictures_are_not_mixed_at_the_end_of_a_training(recipe, tmp_path, monkeypatch):
    seen = []

    def train(bundle, data, collate, settings, out, **_):
        seen.append(data.calm_from)
        return bundle.then("train", {})

    monkeypatch.setattr(detecting, "train", train)
    longer = HEAD.replace("epochs = 1", "epochs = 10")
    second = "[[step]]" + longer.split("[[step]]")[1].replace("teacher", "second")
    recipe.write_text(longer + second + "close_mosaic = 4\n")
    run(recipe, tmp_path / "run")
    assert seen == [8, 6]


def test_what_a_second_repeat_may_lose_counts_from_what_was_kept(recipe, tmp_path, scripted):
    APs, given, _ = scripted
    second = ROUNDS.replace('"slim"', '"more"')
    recipe.write_text(HEAD + ROUNDS + second + LAST)
    APs |= {"slim-1-healed": 0.49, "slim-2-healed": 0.3, "more-1-healed": 0.29}
    done = run(recipe, tmp_path / "run")
    assert given["int8"] == ["teacher", "slim-1-cut", "slim-1-healed"]
    assert [d.name for d in done.steps if not d.kept] == [
        "slim-2-cut", "slim-2-healed", "more-1-cut", "more-1-healed",
    ]  # fmt: skip


def test_a_step_is_known_wherever_the_recipe_is_called_from(
    recipe, tmp_path, scripted, monkeypatch
):
    keys = scripted[2]
    run(recipe, tmp_path / "run")
    absolute = dict(keys)
    monkeypatch.chdir(tmp_path / "digits")
    run(Path("..") / recipe.name, tmp_path / "again")
    assert keys == absolute


def test_rounds_run_for_real_and_are_found_done(recipe, tmp_path):
    recipe.write_text(
        (HEAD + ROUNDS).replace("max_ap_drop = 0.02", "max_ap_drop = 1.0")
        .replace("times = 3", "times = 2")
        .replace("epochs = 1", 'epochs = 1\nprecision = "float32"')
    )  # fmt: skip
    first = run(recipe, tmp_path / "run")
    again = run(recipe, tmp_path / "run")
    assert [asdict(a.row) for a in first.steps] == [asdict(b.row) for b in again.steps]
    sizes = [d.row.parameters for d in first.steps]
    assert sizes[0] > sizes[1] == sizes[2] > sizes[3] == sizes[4]
    rows = json.loads((tmp_path / "run/02-slim-2-healed/result.json").read_text())
    assert rows["name"] == "slim-2-healed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("times = 3", "times = 0"), "repeat.times"),
        (("ratio = 0.3", "ratios = 0.3"), "Did you mean 'ratio'?"),
        (('teacher = "teacher"', 'teacher = "teecher"'), "did you mean 'teacher'?"),
        (('verb = "prune"\nname = "cut"\nratio = 0.3', 'verb = "quantize"\nname = "q"'), "verb"),
    ],
)
def test_a_fault_within_a_repeat_is_named(recipe, change, told):
    recipe.write_text(recipe.read_text().replace(*change))
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe)
    assert told in str(caught.value)


def test_what_stands_on_the_rounds_is_done_anew_where_another_one_goes_on(
    recipe, tmp_path, scripted
):
    APs, given, keys = scripted
    APs["slim-3-healed"] = 0.45
    rejected = run(recipe, tmp_path / "run")
    assert rejected.last.name == "int8"
    first = keys["int8"]
    recipe.write_text(recipe.read_text().replace("max_ap_drop = 0.02", "max_ap_drop = 0.1"))
    run(recipe, tmp_path / "again")
    assert given["int8"][-1] == "slim-3-healed" and keys["int8"] != first


def test_the_result_is_the_last_that_was_kept(recipe, tmp_path, scripted):
    APs, _, _ = scripted
    recipe.write_text(HEAD + ROUNDS)
    APs["slim-2-healed"] = 0.1
    done = run(recipe, tmp_path / "run")
    assert (done.steps[-1].name, done.last.name) == ("slim-2-healed", "slim-1-healed")
    assert done.last.bundle.history[-1].verb == "slim-1-healed"


def test_other_labels_are_other_data(recipe, tmp_path, scripted):
    _, _, keys = scripted
    run(recipe, tmp_path / "run")
    first = keys["teacher"]
    boxes = next((tmp_path / "digits").rglob("*val*.json"))
    document = json.loads(boxes.read_text())
    document["annotations"][0]["bbox"][0] += 1
    boxes.write_text(json.dumps(document))
    run(recipe, tmp_path / "again")
    assert keys["teacher"] != first


def test_a_quantize_step_that_trains_asks_for_its_pictures(recipe, tmp_path, scripted):
    """Of a trained model, so that no step before it has seen them."""
    _, _, keys = scripted
    cfg = build("yolov3-nano", 10, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    found = {}
    for epochs in (0, 1):
        for mosaic in (0.0, 0.5):
            trains = f"epochs = {epochs}\n" if epochs else ""
            recipe.write_text(f"{OF_A_BUNDLE}[augment]\nmosaic = {mosaic}\n{LAST}{trains}")
            run(recipe, tmp_path / f"run-{epochs}-{mosaic}")
            found[epochs, mosaic] = keys["int8"]
    assert found[0, 0.0] == found[0, 0.5]
    assert found[1, 0.0] != found[1, 0.5]


def test_an_untrained_model_teaches_nobody(recipe, tmp_path):
    recipe.write_text(HEAD + 'teacher = "model"\n')
    with pytest.raises(InputError, match="step teacher: the model was never trained"):
        run(recipe, tmp_path / "run")


def test_a_head_that_cannot_be_taught_is_told_before_the_first_step(recipe, tmp_path):
    cfg = parse(render(build("yolov3-nano", 10, 64)).replace("[yolo]", "[yolo]\nnew_coords=1"))
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    recipe.write_text(OF_A_BUNDLE + LAST + "epochs = 1\n")
    with pytest.raises(InputError, match=r"step 1 \(int8\): .*new_coords=1.*learns from labels"):
        run(recipe, tmp_path / "run")


def test_other_weights_are_another_start(recipe, tmp_path, scripted):
    _, _, keys = scripted
    cfg = build("yolov3-nano", 10, 64)
    recipe.write_text(OF_A_BUNDLE + LAST)
    found = []
    for seed in (0, 1, 0):
        bundle = Bundle(cfg, random_weights(cfg, seed))
        bundle.save(tmp_path / f"model-{len(found)}")
        (tmp_path / "model").mkdir(exist_ok=True)
        for path in (tmp_path / f"model-{len(found)}").iterdir():  # in place, as by cp
            (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
        run(recipe, tmp_path / f"run-{len(found)}")
        found.append(keys["int8"])
    assert found[0] == found[2] != found[1]


def test_a_latency_is_that_of_its_threads(recipe, tmp_path, scripted):
    _, _, keys = scripted
    recipe.write_text(HEAD + '[[step]]\nverb = "prune"\nname = "fast"\ntarget_latency_ms = 5.0\n')
    for threads in (1, 2):
        compress(recipe, tmp_path / f"run-{threads}", Console(quiet=True), threads)
        keys[f"fast with {threads}"] = keys.pop("fast")
    assert keys["fast with 1"] != keys["fast with 2"]


def test_a_latency_is_that_of_the_round_that_is_not_kept(recipe, tmp_path, scripted):
    APs, _, _ = scripted
    APs["slim-1-healed"] = 0.1
    recipe.write_text(HEAD + ROUNDS)
    keys = []
    for ratio in ("0.3", "0.6"):
        recipe.write_text(recipe.read_text().replace("ratio = 0.3", f"ratio = {ratio}"))
        run(recipe, tmp_path / ratio)
        keys.append(json.loads((tmp_path / ratio / "latency.json").read_text())["key"])
    assert keys[0] != keys[1]
