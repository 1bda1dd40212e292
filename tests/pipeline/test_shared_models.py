import json

import pytest
from core_zoo import by_night

from yolo_slim.data.coco import read_coco
from yolo_slim.pipeline.models import ModelSource, open_session
from yolo_slim.pipeline.scoring import score
from yolo_slim.runtime.detector import Detector

MODELS = {
    "yf1.1": "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1",
    "yf1.1-xl": "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "mbv2-nano": "weights/mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
}


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize("name", ["yf1.1", *by_night("yf1.1-xl", "mbv2-nano")])
def test_ap_agrees_with_an_independent_program(name, runtime, shared_root):
    stem = shared_root / MODELS[name]
    source = ModelSource(f"{stem}.cfg", weights=stem.with_name(stem.name + ".weights"), size_px=320)
    coco = shared_root / "data/coco"
    data = read_coco(coco / "dev_val2017", coco / "annotations/dev_val2017.json")
    with open_session(source, runtime) as session:
        numbers = score(Detector(session, 0.005, 0.45, resize_mode="stretch"), data)
    expected = json.loads((shared_root / "reference/ap.json").read_text())
    reference = expected[f"opencv414_{name}_dev_val2017"]
    for key in ("AP", "AP50"):
        assert numbers[key] == pytest.approx(reference[key], abs=0.003)
