"""What a teacher is worth where few pictures have labels.

    YOLO_SLIM_RUNS=~/runs python benchmarks/few_labels.py     # 40 minutes on two cores

Blood cells at 256 px. The teacher has learned from all 300 training pictures; the student sees the
labels of every tenth alone. Alone, it learns from those 30; together, from the same 30 and the
teacher's features of them; by --method separate it first learns the features of all 300 pictures,
without labels, then from the 30 as the first does. Scored on the 60 test pictures, three seeds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from from_scratch import CBC, HERE, OURS, run

from yolo_slim.pipeline.step_folder import ARMS_TABLE

CSV = HERE / "few-labels.csv"
EVERY, SIZE, TEACHER_EPOCHS = 10, 256, 30

RECIPE = """
title = "Few labels"
[data]
description = "few.yaml"
unlabelled = "{cbc}/train"
[model]
bundle = "teacher/bundle"
[augment]
mosaic = 0.3
affine = 0.7
scale = [0.7142857142857143, 1.4]
shift = 0.1
colour = 0.5
[[step]]
verb = "export_onnx"
name = "teacher"

[compare]
seeds = [0, 1, 2]
[compare.student]
zoo = "yolov3-nano"
size = {size}
anchors = "fit"
iou_thresh = 0.3
scale_x_y = 2.0
[compare.train]
epochs = 60
batch_size = 8
lr = 4e-3
objectness = "iou"
cells = "neighbours"
box_weight = 10.0
validations = 1
[[compare.arm]]
name = "alone"
[[compare.arm]]
name = "together"
teacher = "model"
loss = "overhaul"
[[compare.arm]]
name = "separate"
teacher = "model"
loss = "overhaul"
method = "separate"
feature_epochs = 12
"""


def write_description(folder: Path) -> None:
    """The labels of every tenth picture, and where they lie."""
    whole = json.loads((CBC / "annotations/train.json").read_text())
    images = sorted(whole["images"], key=lambda image: image["id"])[::EVERY]
    kept = {image["id"] for image in images}
    boxes = [box for box in whole["annotations"] if box["image_id"] in kept]
    few = {**whole, "images": images, "annotations": boxes}
    (folder / "few.json").write_text(json.dumps(few))
    (folder / "few.yaml").write_text(
        f"train: {{images: {CBC}/train, annotations: {folder}/few.json}}\n"
        f"val: {{images: {CBC}/test, annotations: {CBC}/annotations/test.json}}\n"
    )


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    folder = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser().resolve() / "few-labels"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "teacher/bundle").exists():
        goes_on = ["--resume"] if (folder / "teacher/checkpoints/last.ckpt").exists() else []
        run(
            [
                sys.executable, HERE.parent / "tools/train.py", "yolov3-lite-mobilenetv2",
                "--images", CBC / "train", "--annotations", CBC / "annotations/train.json",
                "--out", folder / "teacher", "--size", SIZE, *OURS[2:], "--epochs",
                TEACHER_EPOCHS, *goes_on,
            ],
            folder / "teacher.log",
        )  # fmt: skip
    write_description(folder)
    recipe = folder / "few-labels.toml"
    recipe.write_text(RECIPE.format(cbc=CBC, size=SIZE))
    program = Path(sys.executable).parent / "yolo-slim"
    run([program, "compare", recipe, "--out", folder / "run"], folder / "compare.log")
    shutil.copyfile(folder / "run" / ARMS_TABLE, CSV)
    print(CSV.read_text())


if __name__ == "__main__":
    main()
