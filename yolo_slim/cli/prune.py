"""yolo-slim prune"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.table import Table

from yolo_slim.cfg import Conv, totals
from yolo_slim.cli.options import (
    JsonFile,
    Model,
    OutFolder,
    WeightsFile,
    console,
    tell_notes,
    write_json,
)
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.pruning import make_plan, prune_bundle
from yolo_slim.pipeline.recipe import PruneStep
from yolo_slim.prune.plan import Plan
from yolo_slim.report.table import human


def prune(
    model: Model,
    out: OutFolder,
    weights: WeightsFile = None,
    ratio: Annotated[float | None, typer.Option(help="Share of the channels that go.")] = None,
    target_macs: Annotated[float | None, typer.Option(help="Share of the MACs to reach.")] = None,
    target_params: Annotated[
        float | None, typer.Option(help="Share of the parameters to reach.")
    ] = None,
    layer_keep: Annotated[float, typer.Option(help="Least share a convolution keeps.")] = 0.05,
    multiple: Annotated[int, typer.Option(help="Round kept channels up to a multiple.")] = 1,
    score: Annotated[
        Literal["max", "mean", "sum"], typer.Option(help="|gamma| of coupled channels, joined by.")
    ] = "max",
    normalize: Annotated[
        Literal["layer", "none"], typer.Option(help="Compare |gamma| within its layer, or raw.")
    ] = "layer",
    absorb: Annotated[
        bool, typer.Option(help="Move the constant output of pruned channels into the next layer.")
    ] = True,
    json: JsonFile = None,
) -> None:
    """Remove channels, shortcuts included, by the |gamma| of their BatchNorms."""
    targets = {"--ratio": ratio, "--target-macs": target_macs, "--target-params": target_params}
    if sum(value is not None for value in targets.values()) > 1:
        raise InputError(f"name exactly one of {', '.join(targets)}")
    if ratio is None and target_macs is None and target_params is None:
        ratio = 0.5
    try:
        step = PruneStep(
            verb="prune", name="prune", ratio=ratio, target_macs=target_macs,
            target_params=target_params, layer_keep=layer_keep, multiple=multiple, score=score,
            normalize=normalize, absorb=absorb,
        )  # fmt: skip
    except ValidationError as error:
        fault = error.errors()[0]
        option = "--" + str(fault["loc"][0]).replace("_", "-") if fault["loc"] else "prune"
        raise InputError(f"{option}: {fault['msg'].removeprefix('Value error, ')}") from None
    source = ModelSource(model, weights)
    check_bundle(out, source.files)
    check_file(json, source.files)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    plan = make_plan(bundle, step)
    pruned = prune_bundle(bundle, plan, step.absorb)
    save_bundle(pruned, out)
    _print_plan(plan)
    before, after = totals(bundle.cfg), totals(pruned.cfg)
    console.print(
        f"{out}: {human(before.parameters)} -> {human(after.parameters)} parameters "
        f"({after.parameters / before.parameters:.1%}), {human(before.macs)} -> "
        f"{human(after.macs)} MACs ({after.macs / before.macs:.1%})"
    )
    write_json(json, {"before": _numbers(before), "after": _numbers(after), "ratio": plan.ratio})


def _numbers(total: Any) -> dict[str, int]:
    return {"parameters": total.parameters, "macs": total.macs}


def _print_plan(plan: Plan) -> None:
    table = Table("section", "channels", "kept", "", title=f"{plan.ratio:.1%} of the channels go")
    for index, before, after in plan.widths():
        section = plan.cfg[index]
        assert isinstance(section, Conv)
        kind = f"{index} {section.size}x{section.size}" + (
            " depthwise" if section.groups > 1 else ""
        )
        classes = set(plan.coupling.classes(index).tolist())
        reasons = {plan.coupling.frozen[c] for c in classes if c in plan.coupling.frozen}
        table.add_row(kind, str(before), str(after), "frozen: " + min(reasons) if reasons else "")
    console.print(table)
