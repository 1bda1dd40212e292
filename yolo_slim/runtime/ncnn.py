"""ncnn on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_slim.cfg import Cfg, infer_shapes
from yolo_slim.errors import InputError
from yolo_slim.optional import require
from yolo_slim.runtime.one_image import OneImageSession
from yolo_slim.runtime.session import Array


class NcnnSession(OneImageSession):
    """Runs a .param with its .bin that this package wrote.

    cfg: what the files were written from; it says how the maps are read.
    float32: else ncnn decides: float16 where the CPU computes with it.

    Raises InputError for what ncnn has no layer for, and where it is not installed.
    """

    runtime = "ncnn"

    def __init__(
        self, files: tuple[Path, Path], cfg: Cfg, class_names: Sequence[str], threads: int,
        float32: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(cfg, class_names)
        shapes = infer_shapes(cfg)
        self.shapes = [(1, *shapes[index]) for index in cfg.output_indices]
        self.ncnn = require("ncnn", "ncnn")
        # Two lines of counts, then a layer in each: its type, its name, its links.
        kinds = {
            line.split()[0]
            for line in files[0].read_text(encoding="utf-8").splitlines()[2:]
            if line.strip()
        }
        unknown = sorted(kind for kind in kinds if self.ncnn.layer_to_index(kind) < 0)
        if unknown:
            raise InputError(
                f"{cfg.source}: ncnn has no layer for {', '.join(unknown)}: take another runtime"
            )
        self.net = self.ncnn.Net()
        self.net.opt.num_threads = threads
        if float32:
            for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
                setattr(self.net.opt, f"use_{kind}", False)
        self.net.load_param(str(files[0]))
        self.net.load_model(str(files[1]))

    def run_one(self, image: Array) -> list[Array]:
        extractor = self.net.create_extractor()
        extractor.input("in0", self.ncnn.Mat(np.ascontiguousarray(image[0])))
        maps = []
        for number, shape in enumerate(self.shapes):
            _, found = extractor.extract(f"out{number}")
            maps.append(np.array(found, np.float32))
            if maps[-1].size != np.prod(shape):
                raise InputError(
                    f"{self.cfg.source}: ncnn gives a map of {maps[-1].shape}, expected "
                    f"{shape[1:]}: take another runtime"
                )
        return [raw.reshape(shape) for raw, shape in zip(maps, self.shapes, strict=True)]
