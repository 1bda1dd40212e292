"""yolo-slim quantize"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, is_bundle
from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    Model,
    NamesFile,
    OutFolder,
    Seed,
    Size,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
    write_json,
)
from yolo_slim.cli.qat import (
    CALIBRATED,
    DEFAULT_EPOCHS,
    FLOAT,
    QAT,
    begun,
    require_trainable,
    train_rounded,
    trained_document,
)
from yolo_slim.cli.quantize_print import print_plan, print_sensitivity
from yolo_slim.cli.targets import check_bundle, check_file, require_kept, save_bundle
from yolo_slim.cli.train_options import Affine, Colour, Flip, Mosaic, Resume
from yolo_slim.console import note, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.unlabelled import read_unlabelled
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.quantize_options import QuantizeOptions, Ranges
from yolo_slim.pipeline.quantizing import (
    Quantized,
    after_training,
    quantize_document,
    quantize_event,
    run_quantize,
    told_share,
)
from yolo_slim.quantize.ranges import Calibrator
from yolo_slim.quantize.weight_scales import WeightScale

MIXED, TRAINING = "Mixed precision", "Quantization-aware training"
DEFAULTS = QuantizeOptions()


def quantize(
    model: Model,
    out: OutFolder,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    n_images: Annotated[int, typer.Option(min=1, help="Images to calibrate on.")] = DEFAULTS.images,
    calibrator: Annotated[
        Calibrator, typer.Option(help="How ranges of maps are chosen.")
    ] = DEFAULTS.calibrator,
    weight_scale: Annotated[
        WeightScale, typer.Option(help="Steps of kernels: max clips nothing, mse errs least.")
    ] = DEFAULTS.weight_scale,
    equalize: Annotated[
        bool,
        typer.Option(
            "--equalize/--no-equalize", help="Bring the channels of maps to one range first."
        ),
    ] = DEFAULTS.equalize,
    correct_bias: Annotated[
        bool, typer.Option("--correct-bias", help="Take back what rounding kernels shifts.")
    ] = False,
    keep_float: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            rich_help_panel=MIXED,
            help="So many of the most sensitive stay in float; auto: few, where it is worth it.",
        ),
    ] = "auto",
    keep_sections: Annotated[
        str,
        typer.Option(metavar="N,...", rich_help_panel=MIXED, help="These stay in float."),
    ] = "",
    max_ap_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=MIXED,
            help="As few in float as lose no more AP; asks val of --data.",
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", rich_help_panel=MIXED, help="Measure what each section costs."
        ),
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Print the plan of every convolution.")
    ] = False,
    qat: Annotated[
        bool, typer.Option("--qat", rich_help_panel=TRAINING, help="Train with the rounding.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=TRAINING, help=f"Default: {DEFAULT_EPOCHS}")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(rich_help_panel=TRAINING, help=f"Peak; default: {QAT.lr:g}")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=TRAINING, help=f"Default: {QAT.batch_size}"),
    ] = None,
    ranges: Annotated[
        Ranges | None,
        typer.Option(rich_help_panel=TRAINING, help=f"Steps of maps; default: {QAT.ranges}"),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TRAINING, help="A model, self (the float one), none; default: self"
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", rich_help_panel=TRAINING, help="Learn from labels beside the teacher."
        ),
    ] = False,
    mosaic: Mosaic = None,
    flip: Flip = None,
    affine: Affine = None,
    colour: Colour = None,
    seed: Seed = 0,
    json: JsonFile = None,
    resume: Resume = False,
) -> None:
    """Find INT8 ranges on training images; export_onnx --int8 then writes an integer graph.

    With --qat the kernels learn to live with the rounding, from the float model, whose answers they
    are to give; --out is then the folder of a run.
    """
    asked = dict(locals())
    typed = {
        "--epochs": epochs, "--lr": lr, "--batch-size": batch_size, "--ranges": ranges,
        "--teacher": teacher, "--mosaic": mosaic, "--flip": flip, "--affine": affine,
        "--colour": colour, "--labels": labels or None, "--resume": resume or None,
    }  # fmt: skip
    _require_sense(qat, typed)
    options = QuantizeOptions(
        images=n_images, calibrator=calibrator, weight_scale=weight_scale, equalize=equalize,
        correct_bias=correct_bias, keep_float=_count(keep_float),
        keep_sections=_numbers(keep_sections), max_ap_drop=max_ap_drop,
    )  # fmt: skip
    source = ModelSource(model, weights, names, size)
    place = out / CALIBRATED if qat else out
    if qat:
        _require_run_folder(out, source, resume)
    else:
        check_bundle(out, source.files)
    check_file(json, [*source.files, data, annotations], only_json=True)
    bundle = load_model(source)
    if qat:
        bundle.cfg.require_yolos()
    train_data = _pictures(asked, bundle)
    done = None
    if qat and resume and is_bundle(place):
        note(console, f"{place} is kept: options of the calibration are not looked at")
    else:
        tell_notes(bundle.cfg)
        if qat:
            require_trainable(asked, bundle, train_data)
        done = run_quantize(
            bundle, options, train_data, _validation(data, max_ap_drop), progress, seed,
            sensitivity,
        )  # fmt: skip
        _tell(done, place, table)
        if qat:
            save_bundle(bundle, out / FLOAT)
        save_bundle(done.bundle, place)
        if not qat:
            write_json(json, quantize_document(done))
    if qat:
        trained = train_rounded(asked)
        ready = after_training(trained, options, train_data, progress, seed)
        ready.save(out / BUNDLE_IN_RUN)  # in place of its own
        console.print(f"{out / BUNDLE_IN_RUN}: {told_share(ready)}")
        if json is not None:
            write_json(json, trained_document(asked, ready, done))


def _require_sense(qat: bool, typed: dict[str, Any]) -> None:
    """Raises InputError for options of a training that there is none of."""
    idle = [option for option, value in typed.items() if value is not None]
    if idle and not qat:
        raise InputError(f"{idle[0]} means nothing without --qat")


def _count(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise InputError(f"--keep-float {text}: expected a number of sections, or auto")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--keep-sections {text}: expected numbers of sections, such as 0,12")
    return tuple(map(int, parts))


def _pictures(asked: Mapping[str, Any], bundle: Bundle) -> Dataset:
    """What ranges are found on: labels are not looked at, and --images alone will do."""
    data, images, annotations = asked["data"], asked["images"], asked["annotations"]
    if data is not None and data.is_dir() and not asked["qat"]:
        raise InputError(f"{data} is a folder: ranges need pictures alone, --images {data}")
    if images is None or data is not None or annotations is not None or asked["qat"]:
        return dataset(data, images, annotations, "train", bundle.class_names)
    with progress("reading pictures") as advance:
        found = read_unlabelled(images, advance)
    for text in found.notes:
        note(console, f"{found.source}: {text}")
    return found


def _validation(data: Path | None, max_ap_drop: float | None) -> Dataset | None:
    if max_ap_drop is None or data is None:
        return None
    return dataset(data, None, None, "val")


def _require_run_folder(out: Path, source: ModelSource, resume: bool) -> None:
    require_kept([out / name for name in (CALIBRATED, FLOAT)], source.files)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected the name of a folder to make")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("quantize --qat begins its processes itself: run it without torchrun")
    if not resume and begun(out):
        raise InputError(
            f"{out} holds a training already: --resume goes on, or choose another --out"
        )


def _tell(done: Quantized, place: Path, table: bool) -> None:
    for text in done.warnings:
        warn(console, text)
    if not done.precision.convs:
        warn(console, "no convolution is left in INT8: nothing is gained")
    print_plan(done.bundle, whole=table)
    if done.sensitivity is not None:
        print_sensitivity(done.sensitivity, done.bundle)
    n_images = quantize_event(done.bundle).settings["images"]
    console.print(f"{place}: {told_share(done.bundle)}, ranges from {n_images} images")
    if done.ap is not None:
        console.print(f"AP {done.float_ap:.4f} in float, {done.ap:.4f} with the rounding")
