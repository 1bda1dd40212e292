"""yolo-slim factorize"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    Model,
    OutFolder,
    Seed,
    Threads,
    WeightsFile,
    console,
    progress,
    tell_notes,
    write_json,
)
from yolo_slim.cli.prune_options import Recalibrate
from yolo_slim.cli.prune_sweep import DataNames
from yolo_slim.cli.size_print import Latency, print_shrinkage, sizes_of
from yolo_slim.cli.step_words import as_option, step_of, typed_of
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.factorize.apply import Factorized
from yolo_slim.factorize.options import Method
from yolo_slim.pipeline.factorizing import factorize_document, require_factorable, run_factorize
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe_steps import FactorizeStep
from yolo_slim.report.table import human


def factorize(
    context: typer.Context,
    model: Model,
    out: OutFolder,
    weights: WeightsFile = None,
    method: Annotated[
        Method,
        typer.Option(
            show_choices=False,
            help="svd: a convolution becomes two, one of them 1x1; tucker: also three, the first "
            "and the last 1x1.",
        ),
    ] = "svd",
    energy: Annotated[
        float | None,
        typer.Option(
            help="Share of its energy that each convolution keeps; without a target, 0.9."
        ),
    ] = None,
    target_macs: Annotated[
        float | None, typer.Option(help="Share of the network's MACs to reach.")
    ] = None,
    multiple: Annotated[int, typer.Option(help="Of which every rank is one.")] = 1,
    heads: Annotated[
        bool, typer.Option("--heads", help="Factor what the heads read, too.")
    ] = False,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    recalibrate: Recalibrate = None,
    n_images: Annotated[
        int, typer.Option(min=1, help="Images that --data and --recalibrate ask.")
    ] = 200,
    seed: Seed = 0,
    latency: Latency = False,
    threads: Threads = None,
    json: JsonFile = None,
) -> None:
    """Write convolutions as products of thinner ones, by the energy of their kernels; with --data
    by what they do on training images, which costs far less of what a network can do."""
    named = DataNames(
        data, images, annotations, recalibrate, n_images if "n_images" in typed_of(context) else 0
    )
    step = step_of(
        FactorizeStep, "factorize", method=method, energy=energy, target_macs=target_macs,
        multiple=multiple, heads=heads, n_images=n_images if named.given else 0,
        recalibrate=n_images if recalibrate else 0,
    )  # fmt: skip
    for option in ("n_images", "seed"):
        if option in typed_of(context) and not (named.given or recalibrate):
            raise InputError(
                f"{as_option(option)} does nothing here: it is for --data and --recalibrate"
            )
    source = ModelSource(model, weights)
    check_file(json, [*source.files, data, annotations, recalibrate], only_json=True)
    check_bundle(out, source.files)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    require_factorable(bundle, step)
    shown = named.training(bundle.class_names) if named.given else None
    fresh = named.recalibration(bundle.class_names)
    done = run_factorize(bundle, step, Surroundings(progress, shown, fresh, seed=seed))
    save_bundle(done.bundle, out)
    _print(done)
    for text in done.plan.notes:
        note(console, text)
    timed = latency or json is not None
    sizes = sizes_of(bundle, source, done.bundle, out, timed, threads)
    print_shrinkage(out, sizes)
    write_json(json, factorize_document(done, sizes))


def _print(done: Factorized) -> None:
    """What becomes of each convolution, what of its energy is kept, or why it stays whole."""
    table = Table(
        "section", "becomes", "energy kept", "MACs", "after",
        title=f"{len(done.plan.ranks)} of {len(done.rows)} sections are factored",
    )  # fmt: skip
    for row in done.rows:
        kept = "" if row.energy is None else f"{row.energy:.1%}"
        after = human(row.macs_after) if row.into else ""
        table.add_row(
            f"{row.section} {row.kind}", row.into or f"whole: {row.whole}", kept,
            human(row.macs_before), after,
        )  # fmt: skip
    console.print(table)
