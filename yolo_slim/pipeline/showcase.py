"""What the first and the last model of a compression find on the validation images. It stays in the
folder of the run, so that its page can be written again without data and without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from yolo_slim.data.dataset import Dataset, coco_ground_truth
from yolo_slim.data.image import read_image
from yolo_slim.errors import InputError
from yolo_slim.evaluate.coco import ClassAP, per_class_ap
from yolo_slim.files import whole_folder
from yolo_slim.pipeline.compress import Compression
from yolo_slim.pipeline.scoring import detect_all
from yolo_slim.pipeline.step_folder import ONNX, Done
from yolo_slim.report.model import ClassRow
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.video.draw import draw

N_PICTURES = 4
SHOWN_CONF = 0.3

SHOWCASE = "showcase"
"""Folder within that of the run."""

_DOCUMENT = "showcase.json"


@dataclass(frozen=True)
class Showcase:
    """classes: their AP with both. pictures: (caption, uint8 [H, W, 3] BGR with boxes drawn), of
    the first and the last model in turn."""

    classes: tuple[ClassRow, ...] = ()
    pictures: tuple[tuple[str, np.ndarray], ...] = ()

    @classmethod
    def of(cls, run: Compression) -> Showcase:
        """Runs the first and the last model that an ONNX file was written of."""
        runnable = [done for done in run.steps if (done.folder / ONNX).is_file()]
        pair = runnable[0], next(done for done in reversed(runnable) if done.kept)
        return cls(tuple(_classes(run, pair)), tuple(_pictures(run, pair)))

    def save(self, folder: Path) -> None:
        """Writes it into the folder of a run, whole or not at all."""
        captions = [caption for caption, _ in self.pictures]
        document = {"classes": [asdict(row) for row in self.classes], "pictures": captions}
        with whole_folder(folder / SHOWCASE) as place:
            (place / _DOCUMENT).write_text(json.dumps(document, indent=1), encoding="utf-8")
            for number, (_, image_bgr) in enumerate(self.pictures):
                _, png = cv2.imencode(".png", image_bgr)  # nothing is lost: the page stays the same
                (place / _name(number)).write_bytes(png.tobytes())

    @classmethod
    def read(cls, folder: Path) -> Showcase | None:
        """That of a run; None where it has none.

        Raises InputError for a document that is none, DataError for a picture that is none.
        """
        path = folder / SHOWCASE / _DOCUMENT
        if not path.is_file():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            classes = tuple(ClassRow(**row) for row in document["classes"])
            captions = [str(caption) for caption in document["pictures"]]
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path} is no showcase of a run ({error!r}): delete {path.parent}, and the page "
                "does without it"
            ) from None
        pictures = [
            (caption, read_image(path.with_name(_name(number))))
            for number, caption in enumerate(captions)
        ]
        return cls(classes, tuple(pictures))


def _name(number: int) -> str:
    return f"{number:02d}.png"


def _classes(run: Compression, pair: Sequence[Done]) -> list[ClassRow]:
    data = run.val_data
    first, last = (_class_aps(data, done, run.threads) for done in pair)
    return [ClassRow(name, first[name].n_boxes, first[name].AP, last[name].AP) for name in first]


def _class_aps(data: Dataset, done: Done, threads: int) -> dict[str, ClassAP]:
    found = detect_all(Detector(OnnxSession(done.folder / ONNX, threads)), data)
    return per_class_ap(coco_ground_truth(data), found, data.category_ids)


def _pictures(run: Compression, pair: Sequence[Done]) -> list[tuple[str, np.ndarray]]:
    data = run.val_data
    chosen = [s for s in data.samples if len(s.class_ids)][:N_PICTURES]
    images = [read_image(sample.path) for sample in chosen]
    drawn = []
    for done in pair:
        session = OnnxSession(done.folder / ONNX, run.threads)
        found = Detector(session, conf=SHOWN_CONF)(images)
        drawn.append(
            [
                (f"{done.name}: {s.path.name}", draw(image, d, data.class_names))
                for s, image, d in zip(chosen, images, found, strict=True)
            ]
        )
    return [picture for both in zip(*drawn, strict=True) for picture in both]
