"""ShuffleNetV2's four guidelines (Ma et al., 2018), measured: equal MACs, unequal speed.

    python benchmarks/guidelines.py           # writes guidelines.csv and ../docs/guidelines.svg

Each network is a stack of ten blocks on a 56 x 56 map, as in the paper; within a guideline all have
the same MACs but for a percent (the last one's are compared by the multiply-add), and are timed in
alternation. Needs matplotlib (the extra `bench`).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from measured import latencies, write_rows

from yolo_slim.cfg import Cfg, Conv, Net, totals, verify
from yolo_slim.zoo.trunk import Trunk

BLOCKS = 10
SIDE = 56


def stack(channels: int, block: Callable[[Trunk], None]) -> Cfg:
    trunk = Trunk()
    trunk.conv(channels)
    for _ in range(BLOCKS):
        block(trunk)
    cfg = Cfg(Net(width=SIDE, height=SIDE), tuple(trunk.sections))
    verify(cfg)
    return cfg


def widths(narrow: int, wide: int) -> Cfg:
    """G1: 1x1 convolutions to `wide` channels and back to `narrow`."""

    def block(trunk: Trunk) -> None:
        trunk.conv(wide, activation="relu")
        trunk.conv(narrow, activation="relu")

    return stack(narrow, block)


def groups(channels: int, n_groups: int) -> Cfg:
    """G2: two 1x1 convolutions in groups."""

    def block(trunk: Trunk) -> None:
        for _ in range(2):
            trunk.conv(channels, activation="relu", groups=n_groups)

    return stack(channels, block)


def fragments(channels: int, series: int, parallel: int) -> Cfg:
    """G3: one 1x1 convolution, or several after or beside each other."""

    def block(trunk: Trunk) -> None:
        start = trunk.last
        ends = []
        for _ in range(parallel):
            if trunk.last != start:
                trunk.route(start)
            for _ in range(series):
                trunk.conv(channels, activation="relu")
            ends.append(trunk.last)
        while len(ends) > 1:  # sums of two, as an engine has them
            trunk.shortcut(ends.pop())
            ends[-1] = trunk.last

    return stack(channels, block)


def elementwise(channels: int, relu: bool, shortcut: bool) -> Cfg:
    """G4: a bottleneck of 1x1, 3x3 and 1x1 convolutions, with and without what has no MACs."""
    activation = "relu" if relu else "linear"

    def block(trunk: Trunk) -> None:
        start = trunk.last
        trunk.conv(channels // 4, activation=activation)
        trunk.conv(channels // 4, 3, activation=activation)
        trunk.conv(channels, activation=activation)
        if shortcut:
            trunk.shortcut(start)

    return stack(channels, block)


# Widths are multiples of 16, the channels that one AVX-512 instruction takes: the last guideline,
# which is ours, shows what becomes of others.
GUIDELINES: dict[str, dict[str, Cfg]] = {
    "G1 equal widths": {
        "128 : 128": widths(128, 128), "64 : 256": widths(64, 256), "32 : 512": widths(32, 512),
        "16 : 1024": widths(16, 1024),
    },
    "G2 few groups": {
        "1 group": groups(128, 1), "4 groups": groups(256, 4), "16 groups": groups(512, 16),
    },
    "G3 few fragments": {
        "one": fragments(128, 1, 1), "4 in series": fragments(64, 4, 1),
        "16 in series": fragments(32, 16, 1), "4 in parallel": fragments(64, 1, 4),
        "16 in parallel": fragments(32, 1, 16),
    },
    "G4 few element-wise": {
        "neither": elementwise(256, False, False), "ReLU": elementwise(256, True, False),
        "shortcut": elementwise(256, False, True), "both": elementwise(256, True, True),
    },
    "widths of 16": {f"{n} channels": groups(n, 1) for n in (128, 120, 124, 127, 136)},
}  # fmt: skip


def main() -> None:
    rows = []
    for guideline, cfgs in GUIDELINES.items():
        times = latencies(cfgs, rounds=7, seconds=0.6)
        for name, cfg in cfgs.items():
            total = totals(cfg)
            rows.append({
                "guideline": guideline, "variant": name, "macs": total.macs,
                "traffic_bytes": total.traffic_bytes,
                "latency_ms": round(times[name].median_ms, 3), "runs": times[name].runs,
                "convolutions": sum(isinstance(s, Conv) for s in cfg),
            })  # fmt: skip
            print(rows[-1], flush=True)
    here = Path(__file__)
    write_rows(here.with_name("guidelines.csv"), rows)
    draw(here.with_name("guidelines.csv"), here.parents[1] / "docs" / "guidelines.svg")


def draw(table: Path, picture: Path) -> None:
    """One panel a guideline: latency relative to the first variant."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "guidelines"
    from matplotlib import pyplot as plt

    rows = list(csv.DictReader(table.open()))
    figure, panels = plt.subplots(1, len(GUIDELINES), figsize=(13, 2.6), layout="constrained")
    for panel, guideline in zip(panels, GUIDELINES, strict=True):
        mine = [row for row in rows if row["guideline"] == guideline]
        per_mac = [float(row["latency_ms"]) / float(row["macs"]) for row in mine]
        ratios = [value / per_mac[0] for value in per_mac]
        bars = panel.barh([row["variant"] for row in mine], ratios, color="#4c78a8")
        panel.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        panel.set_title(guideline, fontsize=9)
        panel.set_xlim(0, 1.2 * max(ratios))
        panel.invert_yaxis()
        panel.tick_params(labelsize=8)
    figure.supxlabel("time per multiply-add, relative to the first bar", fontsize=8)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
