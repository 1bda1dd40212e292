"""A verdict's AP curve is the sweep's, without statistics and latency."""

from __future__ import annotations

from yolo_slim.cfg import totals
from yolo_slim.pipeline import sparsity_curve
from yolo_slim.prune.place import plan_ratio
from yolo_slim.zoo import build


def test_ap_of_each_cut_by_rising_ratio(random_bundle, monkeypatch):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    whole = totals(bundle.cfg).parameters

    def bundle_scorer(data):
        assert data == "the val images"
        return lambda cut: dict.fromkeys(("AP", "AP50"), totals(cut.cfg).parameters / whole)

    monkeypatch.setattr(sparsity_curve, "bundle_scorer", bundle_scorer)
    curve = sparsity_curve.ap_curve_on("the val images")(bundle)
    assert curve[0] == (0.0, 1.0) and len(curve) >= 10
    for ratio, ap in curve[1:]:
        assert ap == totals(plan_ratio(bundle, ratio).narrowed).parameters / whole
