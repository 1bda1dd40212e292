"""A network section by section, as a table for a terminal or for a paper."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table

from yolo_slim.cfg import (
    Cfg,
    Connected,
    Conv,
    Local,
    Strided,
    measure,
    totals,
    winograd_multiplications,
)
from yolo_slim.cfg.measure import SectionCost
from yolo_slim.report.table import human

TILES = (2, 4)
TITLES = (
    "#",
    "section",
    "filters",
    "size/stride",
    "output",
    "parameters",
    "MACs",
    *(f"mult. F{tile}" for tile in TILES),
    "map",
    "traffic",
)


def rows(cfg: Cfg) -> list[tuple[str, ...]]:
    """One row a section and one of totals.

    MACs: also the multiplications of convolutions as they are defined. mult. F2, F4: with 3x3
    convolutions by Winograd's F(2x2, 3x3) and F(4x4, 3x3). map: the section's output, traffic: all
    that it reads and writes, in float32.
    """
    costs = measure(cfg)
    whole = totals(cfg)
    maps = sum(cost.map_bytes for cost in costs)
    by_tiles = [winograd_multiplications(cfg, tile) for tile in TILES]
    sums = (human(whole.parameters), human(whole.macs), *(human(sum(n)) for n in by_tiles),
            human(maps, "B"), human(whole.traffic_bytes, "B"))  # fmt: skip
    sections = map(_row, costs, zip(*by_tiles, strict=True))
    return [*sections, ("", "total", "", "", "", *sums)]


def section_table(cfg: Cfg) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))  # eleven columns are wide enough
    for title in TITLES:
        table.add_column(title, justify="left" if title == "section" else "right")
    *sections, last = rows(cfg)
    for row in sections:
        table.add_row(*row)
    table.add_section()
    table.add_row(*last)
    return table


def markdown_table(cfg: Cfg) -> str:
    """The same rows in Markdown."""
    rule = ["---" if title == "section" else "---:" for title in TITLES]
    lines = [TITLES, rule, *rows(cfg)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(cost: SectionCost, by_tiles: tuple[int, ...]) -> tuple[str, ...]:
    section, filters, window = cost.section, "", ""
    match section:
        case Conv() | Local():
            filters = str(section.filters)
        case Connected():
            filters = str(section.output)
    if isinstance(section, Strided):
        height, width = section.strides_hw
        stride = str(width) if height == width else f"{width}x{height}"
        window = f"{section.size}x{section.size}/{stride}"
    kind = section.kind
    if isinstance(section, Conv) and section.groups > 1:
        kind += " depthwise" if section.groups == cost.in_channels else f" /{section.groups}"
    work = [cost.parameters, cost.macs, *by_tiles]
    told = [human(n) if any(work) else "" for n in work]
    return (str(cost.index), kind, filters, window, str(cost.shape), *told,
            human(cost.map_bytes, "B"), human(cost.traffic_bytes, "B"))  # fmt: skip
