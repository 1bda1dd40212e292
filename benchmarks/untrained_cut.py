"""What is left of a pretrained detector after a cut and no training at all.

    python benchmarks/untrained_cut.py

yolo-fastest-1.1-xl on 128 pictures of COCO's val2017, cut at small ratios by |gamma| times what
reads the channel (its training was not sparse, and |gamma| alone finds nothing): the channels
removed as they are, what they sent absorbed, running statistics measured anew on 128 pictures of
train2017, and both. Confidence 0.001.
"""

from __future__ import annotations

from pathlib import Path

from measured import write_rows

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals
from yolo_slim.data.coco import read_coco
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.scoring import input_batches, score
from yolo_slim.prune.absorb import absorb
from yolo_slim.prune.cut import take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.prune.scores import Scoring
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import TorchSession, default_threads

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
COCO = SHARED / "data/coco"
STEM = "yolo-fastest-1.1-xl"
CSV = HERE / "untrained-cut.csv"
RATIOS = (0.05, 0.1, 0.2, 0.3)
BEST = Scoring("gamma-kernel", normalize="none")


def numbers(bundle: Bundle) -> dict[str, float]:
    data = read_coco(COCO / "dev_val2017", COCO / "annotations/dev_val2017.json")
    found = score(Detector(TorchSession(bundle, default_threads()), conf=0.001), data)
    return {"AP": round(found["AP"], 4), "AP50": round(found["AP50"], 4)}


def main() -> None:
    (cfg,) = (SHARED / "weights").rglob(f"{STEM}.cfg")
    source = load_model(ModelSource(str(cfg), cfg.with_suffix(".weights")))
    train = read_coco(COCO / "dev_train2017", COCO / "annotations/dev_train2017.json")
    batches = list(input_batches(train, source.cfg, len(train.samples)))

    def again(bundle: Bundle) -> Bundle:
        return recalibrate(bundle, batches)

    rows: list[dict[str, object]] = []

    def tell(ratio: float, scoring: Scoring, way: str, cut: Bundle) -> None:
        macs = round(totals(cut.cfg).macs / totals(source.cfg).macs, 4)
        how = {"ratio": ratio, "importance": scoring.importance, "normalize": scoring.normalize}
        rows.append({"model": STEM, **how, "way": way, "macs": macs, **numbers(cut)})
        print(rows[-1], flush=True)

    tell(0.0, BEST, "uncut", source)
    tell(0.0, BEST, "recalibrated", again(source))
    for ratio in RATIOS:
        plan = plan_ratio(source, ratio, BEST)
        plain, absorbed = take(source, plan), take(absorb(source, plan), plan)
        tell(ratio, BEST, "removed", plain)
        tell(ratio, BEST, "absorbed", absorbed)
        tell(ratio, BEST, "recalibrated", again(plain))
        tell(ratio, BEST, "absorbed and recalibrated", again(absorbed))
    for importance in ("gamma", "gamma-kernel", "l2"):
        for normalize in ("layer", "none"):
            scoring = Scoring(importance, normalize=normalize)
            if scoring != BEST:
                plan = plan_ratio(source, 0.2, scoring)
                cut = again(take(absorb(source, plan), plan))
                tell(0.2, scoring, "absorbed and recalibrated", cut)
    write_rows(CSV, rows)


if __name__ == "__main__":
    main()
