"""Debian's darknet (pjreddie's of 2018) as an oracle: what it finds on pictures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from yolo_slim.detections import Detections

DARKNET = shutil.which("darknet")


def darknet_valid(
    cfg_path: Path, weights_path: Path, pictures: list[Path], n_classes: int, folder: Path
) -> dict[str, Detections]:
    """`darknet detector valid`: letterbox, score above 0.005, greedy NMS at IoU 0.45 in a class.

    Boxes are in pixels of the picture, clipped to it. It writes them counted from 1, as Pascal VOC
    does. Every picture needs a stem of its own.
    """
    names = [f"class{k}" for k in range(n_classes)]
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    (folder / "list.txt").write_text("".join(f"{p}\n" for p in pictures))
    (folder / "results").mkdir()
    data = folder / "my.data"
    data.write_text(
        f"classes={n_classes}\nvalid={folder}/list.txt\nnames={folder}/names.txt\n"
        f"results={folder}/results\n"
    )
    assert DARKNET is not None
    done = subprocess.run(
        [DARKNET, "detector", "valid", data, cfg_path, weights_path],
        cwd=folder, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    rows: dict[str, list[tuple[int, list[float]]]] = {p.stem: [] for p in pictures}
    for class_id, name in enumerate(names):
        for line in (folder / "results" / f"comp4_det_test_{name}.txt").read_text().splitlines():
            stem, *numbers = line.split()
            rows[stem].append((class_id, [float(n) for n in numbers]))
    found = {}
    for stem, listed in rows.items():
        numbers = np.array([n for _, n in listed], np.float32).reshape(-1, 5)
        found[stem] = Detections(
            numbers[:, 1:] - 1, numbers[:, 0], np.array([c for c, _ in listed], np.int64)
        )
    return found
