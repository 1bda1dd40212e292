"""A training after a cut is taught by the whole network, unless it says otherwise."""

from __future__ import annotations

import pytest

from yolo_slim.errors import RecipeError
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import RepeatStep

HEAD = 'title = "t"\n[data]\ndigits = true\n[model]\n'
ZOO = 'zoo = "yolov3-nano"\n'
BUNDLE = 'bundle = "teacher"\n'


def step(verb: str, name: str, more: str = "") -> str:
    return f'[[step]]\nverb = "{verb}"\nname = "{name}"\n{more}\n'


def training(name: str, more: str = "") -> str:
    return step("train", name, f"epochs = 1\n{more}")


CUT = step("prune", "cut", "ratio = 0.3")
SPARSE = training("sparse", "sparsity = 0.1")
ROUNDS = (
    step("repeat", "slim", "times = 2")
    + '[[step.step]]\nverb = "prune"\nname = "cut"\nratio = 0.3\n'
    + '[[step.step]]\nverb = "train"\nname = "healed"\nepochs = 1\n'
)
AFTER = training("after")


@pytest.mark.parametrize(
    ("text", "teachers"),
    [
        (ZOO + training("a") + training("b"), {"a": None, "b": None}),
        (ZOO + training("a") + SPARSE + CUT + AFTER, {"sparse": None, "after": "a"}),
        (ZOO + SPARSE + CUT + AFTER, {"after": "sparse"}),
        (BUNDLE + CUT + AFTER, {"after": "model"}),
        (BUNDLE + SPARSE + CUT + AFTER, {"after": "sparse"}),
        (ZOO + training("a") + step("factorize", "thin") + AFTER, {"after": "a"}),
        (ZOO + training("a") + CUT + training("after", 'teacher = "none"'), {"after": None}),
        (ZOO + training("a") + SPARSE + CUT + training("after", 'teacher = "sparse"'),
         {"after": "sparse"}),
        (ZOO + training("a") + CUT + training("after", 'loss = "overhaul"'), {"after": "a"}),
        (ZOO + training("a") + ROUNDS + AFTER, {"healed": "a", "after": "a"}),
    ],
)  # fmt: skip
def test_the_whole_network_teaches_what_is_left_of_it(text, teachers, tmp_path):
    (tmp_path / "r.toml").write_text(HEAD + text)
    recipe = read_recipe(tmp_path / "r.toml")
    found = {s.name: getattr(s, "teacher", None) for s in recipe.single_steps()}
    assert {name: found[name] for name in teachers} == teachers
    assert all(s.times == 2 for s in recipe.step if isinstance(s, RepeatStep))


@pytest.mark.parametrize(
    "text",
    [
        ZOO + training("a", 'loss = "overhaul"'),
        ZOO + training("a") + CUT + training("b", 'teacher = "none"\nloss = "overhaul"'),
    ],
)
def test_nobody_teaches_nothing(text, tmp_path):
    (tmp_path / "r.toml").write_text(HEAD + text)
    with pytest.raises(RecipeError, match="loss means nothing without a teacher"):
        read_recipe(tmp_path / "r.toml")
