"""A recipe from its file, its faults told by their place in it."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path

from pydantic import BaseModel, ValidationError

from yolo_slim.errors import InputError, RecipeError
from yolo_slim.pipeline.default_teacher import with_teachers
from yolo_slim.pipeline.recipe import (
    START,
    AugmentSpec,
    CompareSpec,
    DataSpec,
    ModelSpec,
    Recipe,
    SplitSpec,
)
from yolo_slim.pipeline.recipe_steps import (
    Arm,
    ExportStep,
    FactorizeStep,
    PruneStep,
    QuantizeStep,
    RepeatStep,
    TrainStep,
)


def read_recipe(path: Path) -> Recipe:
    """Reads and checks a recipe; nothing runs before the last step of it is known to make sense.

    Raises RecipeError naming the place, what was found, and what is nearest to it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error})") from None
    try:
        # As JSON, in which strict means no true for 1, but still lists for tuples, text for paths.
        recipe = Recipe.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_first_fault(error)}") from None
    try:
        steps = with_teachers(recipe.step, None if recipe.model.is_drawn else START)
    except InputError as error:
        raise RecipeError(f"{path}: {error}") from None
    return _located(recipe.model_copy(update={"step": steps}), path.parent)


def _first_fault(error: ValidationError) -> str:
    # A misspelt key is the cause, the missing one its consequence: the cause is told.
    faults = error.errors()
    # An item with a fault is none: that a list is too short then is no fault of its own.
    faults = [f for f in faults if f["type"] != "too_short"] or faults
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    place = [str(p + 1) if isinstance(p, int) else p for p in fault["loc"]]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    text = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        known = _known_keys(place)
        near = difflib.get_close_matches(place[-1], known, n=1)
        text = f"unknown key; known: {', '.join(known)}" + (
            f". Did you mean {near[0]!r}?" if near else ""
        )
    found = (
        "" if isinstance(fault["input"], dict | list | BaseModel) else f", found {fault['input']!r}"
    )
    return f"{'.'.join(place) or 'recipe'}: {text}{found}{more}"


def _known_keys(place: list[str]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "model": ModelSpec, "data": DataSpec, "augment": AugmentSpec, "train": TrainStep,
        "prune": PruneStep, "factorize": FactorizeStep, "quantize": QuantizeStep,
        "export_onnx": ExportStep, "repeat": RepeatStep, "compare": CompareSpec,
        "student": ModelSpec, "arm": Arm,
    }  # fmt: skip
    match place[:-1]:
        case ["compare", name, *_]:
            table = tables[name]
        case ["step", _, "repeat", "step", _, verb, *_] | ["step", _, verb, *_]:
            table = tables[verb]
        case ["data", _, *_]:  # data.train is a table, and train a verb, too
            table = SplitSpec
        case [name, *_]:
            table = tables[name]
        case _:
            table = Recipe
    return list(table.model_fields)


def _located(recipe: Recipe, folder: Path) -> Recipe:
    def locate(path: Path | None) -> Path | None:
        return None if path is None else (folder / path.expanduser())

    def split(spec: SplitSpec | None) -> SplitSpec | None:
        if spec is None:
            return None
        return SplitSpec(images=folder / spec.images, annotations=folder / spec.annotations)

    def locate_model(spec: ModelSpec) -> ModelSpec:
        return spec.model_copy(
            update={key: locate(getattr(spec, key)) for key in ("cfg", "weights", "bundle")}
        )

    model = locate_model(recipe.model)
    compare = recipe.compare
    if compare is not None and compare.student is not None:
        compare = compare.model_copy(update={"student": locate_model(compare.student)})
    data = recipe.data.model_copy(
        update={
            "description": locate(recipe.data.description),
            "train": split(recipe.data.train),
            "val": split(recipe.data.val),
            "unlabelled": locate(recipe.data.unlabelled),
        }
    )
    return recipe.model_copy(update={"model": model, "data": data, "compare": compare})
