"""yolo-slim prune"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from yolo_slim.cfg import totals
from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    Model,
    OutFolder,
    Seed,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
    write_json,
)
from yolo_slim.cli.prune_options import (
    Dense,
    Granularity,
    KernelNorm,
    LayerImages,
    LayerRank,
    Layers,
    Order,
    Within,
    layer_numbers,
    print_layers,
    print_zeros,
    read_dense,
    zero_numbers,
)
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.prune_options import Importance, Normalize, Reduce, Rounding, Which
from yolo_slim.pipeline.prune_step import needs_images, require_possible, run_prune
from yolo_slim.pipeline.recipe import PruneStep
from yolo_slim.prune.plan import Plan
from yolo_slim.report.table import human


def prune(
    model: Model,
    out: OutFolder,
    weights: WeightsFile = None,
    ratio: Annotated[
        float | None, typer.Option(help="Share of the channels that go; without a target, 0.5.")
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option(help="Share of each layer's sum of squared importances that may go."),
    ] = None,
    target_macs: Annotated[float | None, typer.Option(help="Share of the MACs to reach.")] = None,
    target_params: Annotated[
        float | None, typer.Option(help="Share of the parameters to reach.")
    ] = None,
    layer_keep: Annotated[float, typer.Option(help="Least share a convolution keeps.")] = 0.05,
    multiple: Annotated[int, typer.Option(help="Round kept channels to a multiple.")] = 1,
    rounding: Annotated[
        Rounding, typer.Option(help="Which multiple; none under --layer-keep.")
    ] = "up",
    importance: Annotated[
        Importance,
        typer.Option(
            help="What a channel is judged by: |gamma|; that times the kernels that read it; its "
            "own kernel's norm (l1, l2) or distance to the others (fpgm); random, as a control."
        ),
    ] = "gamma",
    reduce: Annotated[
        Reduce,
        typer.Option("--reduce", "--score", help="How the channels that a shortcut ties are one."),
    ] = "max",
    normalize: Annotated[
        Normalize, typer.Option(help="Compare within a layer, or as they are.")
    ] = "layer",
    which: Annotated[
        Which,
        typer.Option(help="Let all channels go, or only those that nothing is tied to."),
    ] = "shortcut",
    seed: Seed = 0,
    absorb: Annotated[
        bool, typer.Option(help="Move the constant output of pruned channels into the next layer.")
    ] = True,
    layers: Layers = None,
    layer_rank: LayerRank = "gamma",
    layer_images: LayerImages = 200,
    order: Order = "layers-first",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    granularity: Granularity = "channel",
    within: Within = "network",
    kernel_norm: KernelNorm = "l1",
    dense: Dense = "heads",
    json: JsonFile = None,
) -> None:
    """Remove channels, shortcuts included, by what they are worth: |gamma| of their BatchNorms;
    whole residual blocks with --layers; or set weights to 0 with --granularity."""
    targets = {
        "--ratio": ratio, "--energy": energy, "--target-macs": target_macs,
        "--target-params": target_params,
    }  # fmt: skip
    given = [f"{option} {value:g}" for option, value in targets.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"name exactly one of {', '.join(targets)}; found {', '.join(given)}")
    if not given and granularity != "2:4" and not (layers and granularity == "channel"):
        ratio = 0.5
    try:
        step = PruneStep(
            verb="prune", name="prune", ratio=ratio, energy=energy, target_macs=target_macs,
            target_params=target_params, layer_keep=layer_keep, multiple=multiple,
            rounding=rounding, importance=importance, reduce=reduce, normalize=normalize,
            which=which, seed=seed, absorb=absorb, layers=layers, layer_rank=layer_rank,
            layer_images=layer_images, order=order, granularity=granularity,
            within=within, kernel_norm=kernel_norm, dense=read_dense(dense),
        )  # fmt: skip
    except ValidationError as error:
        fault = error.errors()[0]
        option = "--" + str(fault["loc"][0]).replace("_", "-") if fault["loc"] else "prune"
        raise InputError(f"{option}: {fault['msg'].removeprefix('Value error, ')}") from None
    source = ModelSource(model, weights)
    check_bundle(out, source.files)
    check_file(json, [*source.files, data, annotations])
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    require_possible(bundle, step)
    train_data = None
    if needs_images(step) and any((data, images, annotations)):
        train_data = dataset(data, images, annotations, "train", bundle.class_names)
    done = run_prune(bundle, step, train_data, progress)
    save_bundle(done.bundle, out)
    print_layers(done)
    if done.channels is not None:
        _print_plan(done.channels)
    print_zeros(done, granularity)
    for text in done.notes:
        note(console, text)
    before, after = totals(bundle.cfg), totals(done.bundle.cfg)
    console.print(
        f"{out}: {human(before.parameters)} -> {human(after.parameters)} parameters "
        f"({after.parameters / before.parameters:.1%}), {human(before.macs)} -> "
        f"{human(after.macs)} MACs ({after.macs / before.macs:.1%})"
    )
    write_json(
        json,
        {
            "before": _numbers(before),
            "after": _numbers(after),
            "ratio": None if done.channels is None else done.channels.ratio,
            "notes": done.notes,
            "convolutions": [] if done.channels is None else _rows(done.channels),
            "layers": layer_numbers(done),
            "zeros": zero_numbers(done),
        },
    )


def _numbers(total: Any) -> dict[str, int]:
    return {"parameters": total.parameters, "macs": total.macs}


def _rows(plan: Plan) -> list[dict[str, Any]]:
    return [asdict(row) for row in plan.rows()]


def _print_plan(plan: Plan) -> None:
    table = Table(
        "section",
        "channels",
        "kept",
        "score: least / median / most",
        "",
        title=f"{plan.ratio:.1%} of the channels go",
    )
    for row in plan.rows():
        scores = (row.score_min, row.score_median, row.score_max)
        table.add_row(
            f"{row.section} {row.kind}",
            str(row.before),
            str(row.after),
            " / ".join(f"{score:.3g}" for score in scores if score is not None),
            "held: " + row.held[0] if row.held else "",
        )
    console.print(table)
