"""Time and memory of planning and cutting the full YOLOv3: load, plan, take, save.

python benchmarks/plan_yolov3.py
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import write_rows

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.prune.absorb import absorb
from yolo_slim.prune.cut import take
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_target
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

CSV = Path(__file__).resolve().with_suffix(".csv").with_name("plan-yolov3.csv")
ROUNDS = 5


def once(folder: Path) -> dict[str, float]:
    """In a process of its own, so that the memory is that of this work alone."""
    begun = time.perf_counter()
    bundle = load_bundle(folder / "model")
    loaded = time.perf_counter()
    plan = plan_target(bundle, 0.1, "macs", limits=Limits(multiple=8))
    planned = time.perf_counter()
    take(absorb(bundle, plan), plan).save(folder / "slim")
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "load_s": loaded - begun, "plan_s": planned - loaded, "cut_and_save_s": ended - planned,
        "total_s": ended - begun, "peak_bytes": peak,
    }  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(once(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        cfg = build("yolov3")
        Bundle(cfg, random_weights(cfg)).save(Path(name) / "model")
        found = []
        for _ in range(ROUNDS):
            told = subprocess.run(
                [sys.executable, __file__, name], check=True, capture_output=True, text=True
            )
            found.append(json.loads(told.stdout))
    medians = {key: round(statistics.median(f[key] for f in found), 3) for key in found[0]}
    write_rows(CSV, [{"model": "yolov3", "rounds": ROUNDS, **medians}])
    print(medians)


if __name__ == "__main__":
    main()
