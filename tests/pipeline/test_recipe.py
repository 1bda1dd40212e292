"""A recipe is a document: checked to its last step before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yolo_slim.cfg import parse
from yolo_slim.errors import RecipeError
from yolo_slim.pipeline.quantize_options import QatOptions
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import PruneStep, TrainStep
from yolo_slim.pipeline.training import augmentation_of, settings_of
from yolo_slim.train.settings import Machines
from yolo_slim.train.sparsity_settings import SparsitySettings

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = sorted((REPOSITORY / "recipes").glob("*.toml"))

HEAD = 'title = "t"\n[data]\ndigits = true\n[model]\nzoo = "yolov3-nano"\n'
TRAIN = '[[step]]\nverb = "train"\nname = "teacher"\nepochs = 1\n'
PRUNE = '[[step]]\nverb = "prune"\nname = "pruned"\nratio = 0.5\n'
QUANTIZE = '[[step]]\nverb = "quantize"\nname = "quantized"\n'
EXPORT = '[[step]]\nverb = "export_onnx"\nname = "int8"\nint8 = "cpu"\n'
REPEAT = '[[step]]\nverb = "repeat"\nname = "slim"\ntimes = 2\n'
INNER = '[[step.step]]\nverb = "train"\nname = "heal"\nepochs = 1\n'


def again(name: str, more: str = "") -> str:
    return TRAIN.replace("teacher", name) + more


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} >= {"digits", "cbc"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_checked_in_recipe_is_valid(path):
    recipe = read_recipe(path)
    assert recipe.title
    verbs = [step.verb for step in recipe.step]
    assert verbs[0] == "train"
    assert verbs[-1] == "export_onnx"
    for step in recipe.step:
        if isinstance(step, TrainStep):
            assert step.settings(0, 0).epochs == step.epochs


FAULTS = {
    "typo in a key": (HEAD + TRAIN.replace("epochs", "epoch"), ["epoch", "'epochs'"]),
    "typo in a later key": (
        HEAD + TRAIN + PRUNE.replace("ratio", "target_mac"),
        ["step.2", "target_mac", "'target_macs'"]),
    "typo in model": (HEAD.replace("zoo", "zo"), ["model.zo", "'zoo'"]),
    "typo in a table": (HEAD.replace("[data]", "[dat]") + TRAIN, ["dat", "'data'"]),
    "typo in augment": (HEAD + "[augment]\nmosaik = 0.5\n" + TRAIN, ["augment.mosaik", "'mosaic'"]),
    "typo in a verb": (HEAD + TRAIN.replace('"train"', '"trian"'), ["step.1", "train", "trian"]),
    "no verb": (HEAD + TRAIN.replace('verb = "train"\n', ""), ["step.1", "verb"]),
    "no steps": (HEAD, ["step"]),
    "no title": (HEAD.replace('title = "t"\n', "") + TRAIN, ["title"]),
    "teacher unknown": (HEAD + TRAIN + again("student", 'teacher = "techer"\n'),
                        ["step 2 (student)", "'techer'", "'teacher'"]),
    "its own teacher": (HEAD + again("a", 'teacher = "a"\n'), ["step 1 (a)", "no earlier step"]),
    "teacher from the future": (HEAD + again("a", 'teacher = "teacher"\n') + TRAIN,
                                ["step 1 (a)", "no earlier step"]),
    "train after quantize": (HEAD + TRAIN + QUANTIZE + again("late"),
                             ["step 3 (late)", "needs BatchNorm"]),
    "two placements": (
        HEAD + TRAIN + PRUNE + "energy = 0.1\n",
        ["step.2", "name exactly one of ratio, energy, target_macs, target_params"]),
    "no placement": (HEAD + TRAIN + PRUNE.replace("ratio = 0.5\n", ""), ["step.2", "exactly one"]),
    "an old name and its new one": (
        HEAD + TRAIN + PRUNE + 'score = "mean"\nreduce = "sum"\n', ["score"]),
    "prune after quantize": (HEAD + TRAIN + QUANTIZE + PRUNE,
                             ["step 3 (pruned)", "needs BatchNorm"]),
    "a teacher of a quantize step": (
        HEAD + TRAIN + QUANTIZE + 'epochs = 1\nteacher = "techer"\n', ["'techer'", "'teacher'"]),
    "training options of none": (HEAD + TRAIN + QUANTIZE + "lr = 0.1\n", ["lr means nothing"]),
    "no calibrator": (HEAD + TRAIN + QUANTIZE + 'calibrator = "best"\n', ["calibrator"]),
    "int8 without quantize": (HEAD + TRAIN + EXPORT, ["step 2 (int8)", "needs a quantize step"]),
    "quantize after the export": (HEAD + TRAIN + EXPORT + QUANTIZE, ["step 2 (int8)", "quantize"]),
    "two targets": (HEAD + TRAIN + PRUNE + "target_macs = 0.5\n", ["exactly one of ratio"]),
    "no target": (HEAD + TRAIN + PRUNE.replace("ratio = 0.5\n", ""), ["exactly one of ratio"]),
    "duplicate names": (HEAD + TRAIN + TRAIN, ["step 2 (teacher)", "taken"]),
    "two steps of one name in a repeat": (
        HEAD + TRAIN + REPEAT + INNER + INNER, ["step 2 (slim)", "slim-1-heal is taken"]),
    "the name of a round": (
        HEAD + again("slim-2-heal") + REPEAT + INNER, ["step 2 (slim)", "slim-2-heal is taken"]),
    "quantized twice": (
        HEAD + TRAIN + QUANTIZE + QUANTIZE.replace("quantized", "again"),
        ["step 3", "has quantized the bundle already"]),
    "name of the start": (HEAD + again("model"), ["step 1 (model)", "taken"]),
    "name that leaves the folder": (HEAD + again("../x"), ["step.1", "../x"]),
    "ratio of 1": (HEAD + TRAIN + PRUNE.replace("0.5", "1.0"), ["step.2", "ratio", "1.0"]),
    "no epochs": (HEAD + TRAIN.replace("epochs = 1", "epochs = 0"), ["epochs", "found 0"]),
    "text for a number": (HEAD + TRAIN.replace("= 1", '= "one"'), ["epochs", "'one'"]),
    "two models": (HEAD + 'cfg = "a.cfg"\n' + TRAIN, ["model", "exactly one of zoo, cfg, bundle"]),
    "weights of a zoo name": (HEAD + 'weights = "a"\n' + TRAIN,
                              ["model", "weights belong to a cfg"]),
    "no data": (HEAD.replace("digits = true\n", "") + TRAIN, ["data", "exactly one of"]),
    "train without val": (
        HEAD.replace("digits = true", 'train = {images = "a", annotations = "b"}') + TRAIN,
        ["data", "go together"]),
    "true for 1": (HEAD + TRAIN.replace("= 1", "= true"), ["epochs", "True"]),
    "text for 1": (HEAD + TRAIN.replace("= 1", '= "1"'), ["epochs", "'1'"]),
    "text for true": (HEAD.replace("true", '"yes"') + TRAIN, ["data.digits", "'yes'"]),
    "seed out of range": ("seed = 99999999999999999999\n" + HEAD + TRAIN, ["seed", "4294967295"]),
    "infinite warm-up": (HEAD + TRAIN + "warmup_epochs = inf\n", ["warmup_epochs", "finite"]),
    "a schedule of nothing": (
        HEAD + TRAIN + 'sparsity_schedule = "local"\n', ["means nothing without --sparsity"],
    ),
    "an unknown schedule": (
        HEAD + TRAIN + 'sparsity = 0.1\nsparsity_schedule = "slow"\n', ["sparsity_schedule"],
    ),
    "infinite sparsity": (HEAD + TRAIN + "sparsity = inf\n", ["sparsity"]),
    "sparsity of nan": (HEAD + TRAIN + "sparsity = nan\n", ["sparsity"]),
    "rate of nan": (HEAD + TRAIN + "lr = nan\n", ["lr"]),
    "infinite decay": (HEAD + TRAIN + "weight_decay = inf\n", ["weight_decay", "finite"]),
    "scale of nan": (HEAD + "[augment]\nscale = [nan, nan]\n" + TRAIN, ["augment.scale.1"]),
    "scale of 0": (HEAD + "[augment]\nscale = [0, 0]\n" + TRAIN, ["augment.scale.1", "found 0"]),
    "negative scale": (HEAD + "[augment]\nscale = [-1, 1]\n" + TRAIN, ["augment.scale.1"]),
    "scale that falls": (HEAD + "[augment]\nscale = [2.0, 0.5]\n" + TRAIN,
                         ["augment", "smaller number first"]),
    "typo in a split": (
        HEAD.replace("digits = true", 'train = {imagez = "a", annotations = "b"}') + TRAIN,
        ["data.train.imagez", "known: images, annotations", "'images'"]),
    "not TOML": ("title = \n", ["not TOML"]),
    "not text": ("title = '\udcff'", ["not TOML"]),
    "empty": ("", ["title"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_place_and_what_is_near(fault, tmp_path):
    text, parts = FAULTS[fault]
    path = tmp_path / "r.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message
    assert len(message.splitlines()) <= 2


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RecipeError, match="cannot be read"):
            read_recipe(path)


def test_paths_are_relative_to_the_recipe(tmp_path):
    text = HEAD.replace('zoo = "yolov3-nano"', 'cfg = "../nets/a.cfg"\nweights = "w/a.weights"')
    text = text.replace("digits = true", 'description = "d.yaml"')
    (tmp_path / "r.toml").write_text(text + TRAIN)
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.model.cfg == tmp_path / "../nets/a.cfg"
    assert recipe.model.weights == tmp_path / "w/a.weights"
    assert recipe.data.description == tmp_path / "d.yaml"


def test_a_step_says_its_loss(tmp_path):
    path = tmp_path / "r.toml"
    loss = 'box_weight = 10\nobjectness = "iou"\ncells = "neighbours"\nbox_loss = "giou"\n'
    path.write_text(HEAD + "scale_x_y = 2\n" + TRAIN + loss)
    recipe = read_recipe(path)
    assert recipe.model.scale_x_y == 2
    found = recipe.step[0].settings(0, 0).loss
    assert (found.box, found.box_weight, found.objectness) == ("giou", 10, "iou")
    assert found.cells == "neighbours"
    path.write_text(HEAD.replace('zoo = "yolov3-nano"', 'bundle = "b"\nscale_x_y = 2') + TRAIN)
    with pytest.raises(RecipeError, match="scale_x_y is for a zoo name"):
        read_recipe(path)


@pytest.mark.parametrize("key", ["reduce", "score"])
def test_reduce_goes_by_its_old_name_too(key, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(HEAD + TRAIN + PRUNE + f'{key} = "mean"\n')
    step = read_recipe(path).step[1]
    assert isinstance(step, PruneStep) and step.reduce == "mean"


def test_a_step_says_how_sparse_it_is(tmp_path):
    how = (
        'sparsity = 0.1\nsparsity_schedule = "local"\nsparsity_fraction = 0.6\n'
        'sparsity_weight = "macs"\nsparsity_penalty = "group"\nsparsity_step = "sign"\n'
        "sparsity_patience = 3\n"
    )
    (tmp_path / "r.toml").write_text(HEAD + TRAIN + how)
    step = read_recipe(tmp_path / "r.toml").step[0]
    assert isinstance(step, TrainStep)
    expected = SparsitySettings("local", 0.6, "macs", "group", "sign", 3)
    assert step.settings(0, 0).sparse == expected
    assert step.settings(0, 0).sparsity == 0.1


CFG = """
[net]
width=64
height=64
learning_rate=0.004
saturation=2
mosaic=1
[convolutional]
batch_normalize=1
filters=18
activation=linear
[yolo]
mask=0,1,2
num=3
classes=1
anchors=4,4, 8,8, 16,16
random=1
"""


def test_what_a_step_does_not_say_is_as_the_cfg_says(tmp_path):
    cfg = parse(CFG, "a.cfg")
    augment = "[augment]\ncopy_paste = 0.2\n"
    (tmp_path / "r.toml").write_text(HEAD + augment + TRAIN + again("b", "multi_scale = 1.2\n"))
    recipe = read_recipe(tmp_path / "r.toml")
    first, second = (step.settings(0, 0, cfg) for step in recipe.step)
    assert (first.lr, first.multi_scale, second.multi_scale) == (0.004, 1.4, 1.2)
    said = settings_of(cfg, {"epochs": 1}, {})
    assert first == replace(said, machines=Machines(devices=1), validations=3)
    assert recipe.augment.options(cfg) == augmentation_of(cfg, {"copy_paste_p": 0.2})


def test_darknets_way_takes_batch_and_subdivisions_from_the_cfg(tmp_path):
    cfg = parse(CFG.replace("[net]", "[net]\nbatch=64\nsubdivisions=16"), "a.cfg")
    sgd = again("b", 'optimizer = "sgd"\n')
    (tmp_path / "r.toml").write_text(HEAD + TRAIN + sgd + again("c", "accumulate = 2\n"))
    steps = read_recipe(tmp_path / "r.toml").step
    found = [step.settings(0, 0, cfg) for step in steps]
    assert [(s.batch_size, s.accumulate) for s in found] == [(16, 1), (4, 16), (16, 2)]


def test_a_recipe_trains_in_one_process(tmp_path):
    """Others would do its steps, too, beside each other."""
    (tmp_path / "r.toml").write_text(HEAD + TRAIN)
    assert read_recipe(tmp_path / "r.toml").step[0].settings(0, 0).machines.devices == 1
    assert QatOptions().training()["machines"].devices == 1


def test_layers_alone_are_a_granularity(tmp_path):
    layers = PRUNE.replace("ratio = 0.5", 'granularity = "layer"\nlayers = 2')
    (tmp_path / "r.toml").write_text(HEAD + TRAIN + layers)
    step = read_recipe(tmp_path / "r.toml").step[1]
    assert isinstance(step, PruneStep) and step.zeroed is None
    (tmp_path / "r.toml").write_text(HEAD + TRAIN + layers + "ratio = 0.5\n")
    with pytest.raises(RecipeError, match="removes blocks alone: leave out ratio"):
        read_recipe(tmp_path / "r.toml")


def test_one_fault_is_told_as_one(tmp_path):
    (tmp_path / "r.toml").write_text(HEAD + TRAIN + "close_mosaic = 500\n")
    with pytest.raises(RecipeError) as caught:
        read_recipe(tmp_path / "r.toml")
    assert "--close-mosaic 500" in str(caught.value) and "more)" not in str(caught.value)
