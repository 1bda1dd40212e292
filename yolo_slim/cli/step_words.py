"""A step from what was typed, and its faults in the words of the command line."""

from __future__ import annotations

from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from yolo_slim.errors import InputError
from yolo_slim.pipeline.prune_options import SPELLING

StepType = TypeVar("StepType", bound=BaseModel)


def as_option(field: str) -> str:
    """
    >>> as_option("target_macs")
    '--target-macs'
    """
    return "--" + field.replace("_", "-")


def typed_of(context: typer.Context) -> frozenset[str]:
    """The parameters that stand on the command line, whatever their value."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(n for n, source in sources.items() if source and source.name == "COMMANDLINE")


def step_of(kind: type[StepType], verb: str, **options: Any) -> StepType:
    """Raises InputError, naming options as they are typed, for what is no step."""
    try:
        return kind.model_validate(
            {"verb": verb, "name": verb, **options}, context={SPELLING: as_option}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        told = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            raise InputError(told) from None
        field = str(fault["loc"][0])
        option, value = as_option(field), fault["input"]
        found = f"{value:g}" if isinstance(value, float) else str(value)
        expected = expected_range(kind, field)
        told = f"expected {expected}" if expected else told
        raise InputError(f"{option} {found}: {told}") from None


def expected_range(kind: type[BaseModel], field: str) -> str:
    """Where a number of a step must lie; '' for a field that is none.

    >>> from yolo_slim.pipeline.recipe_steps import PruneStep
    >>> [expected_range(PruneStep, field) for field in ("ratio", "target_macs", "multiple")]
    ['0 to below 1', 'above 0 to 1', '1 or more']
    """
    schema = kind.model_json_schema()["properties"][field]
    limits = schema.get("anyOf", [schema])[0]
    least, above = limits.get("minimum"), limits.get("exclusiveMinimum")
    most, below = limits.get("maximum"), limits.get("exclusiveMaximum")
    if least is None and above is None:
        return ""
    low = f"{least:g}" if above is None else f"above {above:g}"
    if most is None and below is None:
        return f"{low} or more" if above is None else low
    return f"{low} to {most:g}" if below is None else f"{low} to below {below:g}"
