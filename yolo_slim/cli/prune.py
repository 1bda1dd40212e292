"""yolo-slim prune"""

from __future__ import annotations

import typer

from yolo_slim.cli import prune_options as option
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
    tell_notes,
    write_json,
)
from yolo_slim.cli.prune_print import (
    print_channels,
    print_entrances,
    print_layers,
    print_zeros,
)
from yolo_slim.cli.prune_sweep import DataNames, require_sweepable, sweep_bundle
from yolo_slim.cli.prune_words import typed_step
from yolo_slim.cli.size_print import Latency, print_shrinkage, sizes_of
from yolo_slim.cli.step_words import as_option, typed_of
from yolo_slim.cli.targets import check_bundle, check_file, save_bundle
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.prune_document import prune_document
from yolo_slim.pipeline.prune_effects import Wish, require_effects
from yolo_slim.pipeline.prune_step import require_possible, run_prune
from yolo_slim.pipeline.runtimes import find_runtime
from yolo_slim.pipeline.sweeping import require_own
from yolo_slim.pipeline.timing import USUAL


def prune(
    context: typer.Context,
    model: Model,
    out: OutFolder,
    weights: WeightsFile = None,
    ratio: option.Ratio = None,
    energy: option.Energy = None,
    target_macs: option.TargetMacs = None,
    target_params: option.TargetParams = None,
    target_latency_ms: option.TargetLatency = None,
    adapt: option.Adapt = False,
    runtime: option.Runtime = USUAL,
    layer_keep: option.LayerKeep = 0.05,
    multiple: option.Multiple = 1,
    rounding: option.Rounding = "up",
    importance: option.Importance = "gamma-kernel",
    reduce: option.Reduce = "max",
    normalize: option.Normalize = "none",
    which: option.Which = "shortcut",
    seed: Seed = 0,
    select: option.Select = None,
    absorb: option.Absorb = True,
    recalibrate: option.Recalibrate = None,
    layers: option.Layers = None,
    layer_rank: option.LayerRank = "gamma",
    order: option.Order = "layers-first",
    granularity: option.Granularity = "channel",
    within: option.Within = "network",
    kernel_norm: option.KernelNorm = "l1",
    dense: option.Dense = "heads",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    n_images: option.NImages = 200,
    threads: Threads = None,
    sweep: option.Sweep = False,
    sensitivity: option.Sensitivity = False,
    latency: Latency = False,
    json: JsonFile = None,
) -> None:
    """Remove channels, shortcuts included, by what they are worth: |gamma| of their BatchNorms;
    whole residual blocks with --layers; or set weights to 0 with --granularity.

    With --sweep nothing is removed: AP, MACs and latency against the ratio, and where the knee is.
    """
    targets = {
        "--ratio": ratio, "--energy": energy, "--target-macs": target_macs,
        "--target-params": target_params, "--target-latency-ms": target_latency_ms,
    }  # fmt: skip
    given = [f"{name} {value:g}" for name, value in targets.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"name exactly one of {', '.join(targets)}; found {', '.join(given)}")
    others = layers is not None or select is not None
    if (
        not given
        and granularity not in ("2:4", "layer")
        and not (others and granularity == "channel")
    ):
        ratio = 0.5
    step = typed_step(
        ratio=ratio, energy=energy, target_macs=target_macs, target_params=target_params,
        target_latency_ms=target_latency_ms, adapt=adapt, runtime=runtime, layer_keep=layer_keep,
        multiple=multiple, rounding=rounding, importance=importance, reduce=reduce,
        normalize=normalize, which=which, seed=seed, select=select, absorb=absorb,
        recalibrate=n_images if recalibrate else 0, layers=layers, layer_rank=layer_rank,
        n_images=n_images, order=order, granularity=granularity, within=within,
        kernel_norm=kernel_norm, dense=option.read_dense(dense),
    )  # fmt: skip
    typed = typed_of(context)
    named = DataNames(
        data, images, annotations, recalibrate, n_images if "n_images" in typed else 0
    )
    if sweep or sensitivity:
        require_sweepable(step, given, named, "--sweep" if sweep else "--sensitivity")
    no_absorb = {"absorb": "--no-absorb"} if not absorb else {}
    require_effects(
        Wish(step, typed, sweep or sensitivity), lambda name: no_absorb.get(name, as_option(name))
    )
    source = ModelSource(model, weights)
    check_file(json, [*source.files, data, annotations, recalibrate], only_json=True)
    timed = latency or json is not None or target_latency_ms is not None
    if timed or sweep or sensitivity:
        find_runtime(runtime).require_installed()
    if sweep or sensitivity:
        require_own(out)
        sweep_bundle(load_model(source), step, named, out, threads, sensitivity, json)
        return
    check_bundle(out, source.files)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    require_possible(bundle, step)
    done = run_prune(bundle, step, named.around(bundle, step, threads))
    save_bundle(done.bundle, out)
    print_layers(done)
    print_channels(done)
    print_entrances(done)
    print_zeros(done, granularity)
    for text in done.notes:
        note(console, text)
    sizes = sizes_of(bundle, source, done.bundle, out, timed, threads, runtime)
    print_shrinkage(out, sizes)
    measured_ms = sizes[1].latency_ms
    if done.planned_ms is not None and measured_ms:
        told = f"{done.planned_ms:.3g} ms when it was chosen, {measured_ms:.3g} ms measured again"
        if target_latency_ms and measured_ms > target_latency_ms:
            told += ", more than was asked: timings of this machine differ by as much"
        note(console, told)
    write_json(json, prune_document(done, sizes))
