"""Every detector of the zoo at 416 px: parameters, MACs, memory traffic, latency on this CPU.

python benchmarks/backbones.py            # writes benchmarks/backbones.csv; some 20 minutes
"""

from __future__ import annotations

from pathlib import Path

from measured import latencies, write_rows

from yolo_slim.cfg import totals
from yolo_slim.zoo import build, detectors

SIZE_PX = 416


def main() -> None:
    rows = []
    for name in detectors():
        cfg = build(name, size_px=SIZE_PX)
        total = totals(cfg)
        latency = latencies({name: cfg}, rounds=2, seconds=0.5)[name]
        rows.append({
            "name": name, "size_px": SIZE_PX, "parameters": total.parameters, "macs": total.macs,
            "traffic_bytes": total.traffic_bytes, "latency_ms": round(latency.median_ms, 3),
            "best_ms": round(latency.best_ms, 3), "runs": latency.runs,
        })  # fmt: skip
        print(f"{name:34} {latency.median_ms:9.2f} ms", flush=True)
        write_rows(Path(__file__).with_name("backbones.csv"), rows)


if __name__ == "__main__":
    main()
