"""yolo-slim data anchors"""

from __future__ import annotations

from typing import Annotated

import typer

from yolo_slim.cfg import resize
from yolo_slim.cli.options import Annotations, Data, Images, console, dataset
from yolo_slim.data.anchors import best_iou, fit_anchors
from yolo_slim.pipeline.anchors import box_sizes
from yolo_slim.zoo import build


def anchors(
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 9,
    size: Annotated[int, typer.Option(min=32, max=8192, help="Input size in px.")] = 416,
) -> None:
    """k-means anchors of the training boxes, in px of the network's input."""
    train_data = dataset(data, images, annotations, "train")
    sizes = box_sizes(train_data, resize(build("yolov3-tiny"), size, size))
    fitted = fit_anchors(sizes, k)
    console.print("anchors=" + ", ".join(f"{w:.0f},{h:.0f}" for w, h in fitted.tolist()))
    console.print(f"mean best IoU {best_iou(sizes, fitted):.3f} over {len(sizes)} boxes")
