"""Trainings side by side that differ in one thing, each with each seed."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.console import note
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.files import write_csv
from yolo_slim.in_use import in_use
from yolo_slim.pipeline.comparison import Compared, Comparison
from yolo_slim.pipeline.compress import Compression, compress, require_run
from yolo_slim.pipeline.doable import naming, require_training
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.pipeline.recipe import START, CompareSpec, ModelSpec
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import Arm
from yolo_slim.pipeline.start import Start, digest, model_of, read_start
from yolo_slim.pipeline.step_folder import ARMS, ARMS_TABLE, Done
from yolo_slim.pipeline.steps import StepRunner


def compare(recipe_path: Path, out: Path, console: Console, threads: int | None) -> Comparison:
    """Does the recipe's steps, then every arm with every seed; what is done already is read.

    All arms of a seed start from the same numbers and see the same pictures in the same order.
    Raises RecipeError, DataError or another InputError before anything is computed.
    """
    recipe = read_recipe(recipe_path)
    spec = recipe.compare
    if spec is None:
        raise InputError(
            f"{recipe_path} has no [compare]: expected seeds, [compare.train] and two or more "
            "[[compare.arm]]"
        )
    require_run(out)
    before = read_start(recipe, out, Console(quiet=True))  # faults are told before steps are done
    student = before.bundle
    if spec.student is not None:
        student, unlearned = _student(spec.student, spec, before.train_data, spec.seeds[0])
        for text in unlearned:
            note(console, text)
        sizes = student.cfg.input_hw, before.bundle.cfg.input_hw
        if any(spec.step(arm).teacher for arm in spec.arm) and sizes[0] != sizes[1]:
            raise InputError(
                f"compare: the student's input is {sizes[0]} (height, width), that of the model "
                f"{sizes[1]}: give both the same size"
            )
    for arm in spec.arm:
        if spec.step(arm).teacher == START and not before.trained:
            raise InputError(
                f"arm {arm.name}: the model was never trained for these classes and anchors; name "
                "a step as teacher"
            )
        with naming(f"arm {arm.name}"):
            require_training(spec.step(arm), before, student.cfg)
    run = compress(recipe_path, out, console, threads)
    done: dict[str, list[Done]] = {arm.name: [] for arm in spec.arm}
    with in_use(out):
        for seed in spec.seeds:
            runner, start = _runner(run, spec, seed, console)
            for number, arm in enumerate(spec.arm, start=1):
                done[arm.name].append(_done(run, spec, runner, start, seed, number, arm))
                _write(out / ARMS_TABLE, done)
    arms = tuple(Compared(name, tuple(d.row for d in found)) for name, found in done.items())
    return Comparison(spec.seeds, arms)


def _student(
    student: ModelSpec, spec: CompareSpec, train_data: Dataset, seed: int
) -> tuple[Bundle, tuple[str, ...]]:
    return model_of(student, train_data, seed, spec.train.cells == "neighbours")


def _runner(
    run: Compression, spec: CompareSpec, seed: int, console: Console
) -> tuple[StepRunner, Start]:
    recipe = run.recipe.model_copy(update={"seed": seed})
    bundle = run.last.bundle
    if spec.student is not None:
        bundle, _ = _student(spec.student, spec, run.train_data, seed)
    start = Start(bundle, run.train_data, run.val_data, run.pictures, trained=True, key=run.key)
    return StepRunner(recipe, start, run.out / ARMS, console, run.threads), start


def _done(
    run: Compression, spec: CompareSpec, runner: StepRunner, start: Start, seed: int, number: int,
    arm: Arm,
) -> Done:  # fmt: skip
    step = spec.step(arm).model_copy(update={"name": f"{arm.name}-{seed}"})
    student = fingerprint(start.bundle)
    augment = run.recipe.augment.model_dump_json()
    key = digest(run.key, student, step.model_dump_json(), augment, str(seed))
    return runner.step(number, step, start.bundle, list(run.steps), key)


def _write(path: Path, done: dict[str, list[Done]]) -> None:
    """A line for each arm and seed that is done."""
    measured = ("AP", "AP50", "parameters", "macs", "seconds")
    write_csv(
        path,
        [
            {"arm": name, **{key: getattr(one.row, key) for key in measured}, **one.circumstances}
            for name, found in done.items()
            for one in found
        ],
    )
