"""Every detector of the zoo at 416 px: parameters, MACs, memory traffic, latency on this CPU.

    python benchmarks/backbones.py            # writes benchmarks/backbones.csv; some 15 minutes

A second run measures again what was disturbed in the first: rows whose median is far from the best.
"""

from __future__ import annotations

import csv
from pathlib import Path

from measured import latencies, write_rows

from yolo_slim.cfg import totals
from yolo_slim.zoo import build, detectors

SIZE_PX = 416
CALM = 1.15
"""Median over best run, above which something else was running."""


def main() -> None:
    path = Path(__file__).with_name("backbones.csv")
    known = {row["name"]: row for row in csv.DictReader(path.open())} if path.is_file() else {}
    rows = {}
    for name in detectors():
        row = known.get(name)
        if row is None or float(row["latency_ms"]) > CALM * float(row["best_ms"]):
            row = measured(name)
            print(f"{name:34} {float(row['latency_ms']):9.2f} ms", flush=True)
        rows[name] = row
        if len(rows) % 20 == 0 or len(rows) == len(detectors()):
            write_rows(path, [*rows.values(), *(r for n, r in known.items() if n not in rows)])


def measured(name: str) -> dict[str, str]:
    cfg = build(name, size_px=SIZE_PX)
    total = totals(cfg)
    latency = latencies({name: cfg}, rounds=1, seconds=0.5)[name]
    numbers = {
        "name": name, "size_px": SIZE_PX, "parameters": total.parameters, "macs": total.macs,
        "traffic_bytes": total.traffic_bytes, "latency_ms": round(latency.median_ms, 3),
        "best_ms": round(latency.best_ms, 3), "runs": latency.runs,
    }  # fmt: skip
    return {key: str(value) for key, value in numbers.items()}


if __name__ == "__main__":
    main()
