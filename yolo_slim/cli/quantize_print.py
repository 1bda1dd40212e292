"""What `quantize` prints of a plan and of what each section costs."""

from __future__ import annotations

from rich.table import Table

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, measure, totals
from yolo_slim.cli.options import console
from yolo_slim.console import percent
from yolo_slim.pipeline.quantizing import quantize_event
from yolo_slim.quantize.plan import decide
from yolo_slim.quantize.sensitivity import Sensitivity

N_TOLD = 10


def print_plan(bundle: Bundle, whole: bool) -> None:
    """Which convolutions run in which numbers, and why; those in float alone unless `whole`."""
    cfg = bundle.cfg
    kept = quantize_event(bundle).settings
    macs = {cost.index: cost.macs for cost in measure(cfg)}
    rows = Table("section", "channels", "MACs", "numbers", "why")
    for index, decision in decide(cfg, kept.get("keep_float", ())).items():
        section = cfg[index]
        assert isinstance(section, Conv)
        if decision.int8 and not whole:
            continue
        share = percent(macs[index] / totals(cfg).macs)
        numbers = "INT8" if decision.int8 else "float"
        rows.add_row(str(index), str(section.filters), share, numbers, decision.reason)
    if rows.row_count:
        console.print(rows)


def print_sensitivity(found: Sensitivity, bundle: Bundle) -> None:
    """The sections whose rounding costs most."""
    rows = Table("section", "of the error", title="what staying in float would save")
    for index, gain in list(found.gains().items())[:N_TOLD]:
        rows.add_row(f"{index} {bundle.cfg[index].kind}", percent(max(0.0, gain)))
    console.print(rows)
    console.print(f"error of the outputs in INT8: {percent(found.whole)} of their variance")
