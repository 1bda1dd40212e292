"""YOLOv3's 3x3 convolutions of stride 1 at 416 px: torch's own, and by Winograd's algorithms.

    python benchmarks/winograd.py              # every layer, 1 and 8 images; minutes
    python benchmarks/winograd.py --networks   # whole networks, directly and by tiles
    python benchmarks/winograd.py --table      # what was measured, as Markdown for the page

Two threads, float32, random numbers; all ways of one layer in alternation, medians. torch's
convolution is timed on contiguous maps, on channels_last maps, and on channels_last maps with the
kernel laid out for oneDNN beforehand, which torch itself does in compiled networks alone. Each
layer's row also has how often it occurs, the share of a tiled convolution that the matrix product
takes, mean errors against float64, and the name of the implementation that oneDNN chose.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from measured import write_rows
from torch import Tensor
from torch.nn import functional as F

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import measure, suits_winograd
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.winograd.convolution import TILES, Tile, WinogradConvolution, transform_kernel
from yolo_slim.nn.winograd.matrices import matrices
from yolo_slim.nn.winograd.network import TileChoice, winograd
from yolo_slim.nn.winograd.product import Product, batched_product, can_pack, packed_product
from yolo_slim.nn.winograd.tiles import blocks
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import TorchSession
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build

HERE = Path(__file__).resolve().parent
CSV, NETWORKS = HERE / "winograd.csv", HERE / "winograd-networks.csv"
THREADS, ROUNDS, SECONDS = 2, 15, 0.05
MODELS = ("yolov3", "yolov3-tiny", "yolov3-nano")

Layer = tuple[int, int, int, int]
"""Channels read, filters, height, width."""


def layers() -> Counter[Layer]:
    """How often YOLOv3 has each of them at 416 px."""
    return Counter(
        (cost.in_channels, *cost.shape)
        for cost in measure(build("yolov3"))
        if suits_winograd(cost.section)
    )


def drawn(layer: Layer, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maps and kernel in channels_last, bias; outputs have a variance of about 1."""
    channels, filters, height, width = layer
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(images, channels, height, width, generator=draw)
    weight = torch.randn(filters, channels, 3, 3, generator=draw) / (9 * channels) ** 0.5
    last = torch.channels_last
    bias = torch.randn(filters, generator=draw)
    return x.contiguous(memory_format=last), weight.contiguous(memory_format=last), bias


def packed(x: Tensor, weight: Tensor, bias: Tensor) -> Callable[[], Tensor]:
    """torch's convolution with the kernel laid out beforehand."""
    ones = [1, 1]
    of = torch.ops.mkldnn
    ready = of._reorder_convolution_weight(weight, ones, ones, ones, 1, list(x.shape))
    return lambda: of._convolution_pointwise(x, ready, bias, ones, ones, ones, 1, "none", [], "")


def product(
    layer: Layer, images: int, tile: Tile, weight: Tensor, bias: Tensor
) -> Callable[[], None]:
    """The matrix products alone, as often as the convolution by tiles does them."""
    channels, filters, height, width = layer
    parts = blocks(images, -(-height // tile), -(-width // tile), channels, filters)
    constants = matrices(tile, weight.dtype, weight.device)
    maps = torch.randn(parts.tiles, (tile + 2) ** 2, channels)
    kernels = transform_kernel(weight, constants)
    multiply: Product = (
        packed_product(kernels, bias, constants.ones, parts.tiles)
        if can_pack(maps)
        else batched_product(kernels, bias, constants.ones)
    )
    n_blocks = len(list(parts))

    def run() -> None:
        for _ in range(n_blocks):
            multiply(maps)

    return run


def medians_ms(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Each in turn, `rounds` times over, so often in a row as SECONDS allow; per call."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            way()  # the caches are its own
            begun, calls = time.perf_counter(), 0
            while not calls or time.perf_counter() - begun < SECONDS:
                way()
                calls += 1
            if number:
                times[name].append((time.perf_counter() - begun) / calls * 1e3)
    return {name: statistics.median(found) for name, found in times.items()}


def timed(layer: Layer, images: int, rounds: int) -> dict[str, float]:
    x, weight, bias = drawn(layer, images)
    plain, plain_weight = x.contiguous(), weight.contiguous()
    ways: dict[str, Callable[[], object]] = {
        "torch_contiguous": lambda: F.conv2d(plain, plain_weight, bias, padding=1),
        "torch_channels_last": lambda: F.conv2d(x, weight, bias, padding=1),
    }
    if can_pack(x):
        ways["torch_packed"] = packed(x, weight, bias)
    ways |= {f"f{t}": partial(WinogradConvolution(t), x, weight, bias, 1) for t in TILES}
    ways |= {f"f{t}_product": product(layer, images, t, weight, bias) for t in TILES}
    return medians_ms(ways, rounds)


def errors(layer: Layer) -> dict[str, str]:
    """Mean distance from float64 of outputs of about 1."""
    x, weight, bias = drawn(layer, 1)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    found = {"torch": F.conv2d(x, weight, bias, padding=1)}
    found |= {f"f{tile}": WinogradConvolution(tile)(x, weight, bias, 1) for tile in TILES}
    return {f"error_{name}": f"{(y - exact).abs().mean():.1e}" for name, y in found.items()}


def implementations(layer: Layer, images: int) -> dict[str, str]:
    """What oneDNN calls the code that it runs; asked in a process whose output it prints to."""
    told = subprocess.run(
        [sys.executable, __file__, "--convolve", *map(str, (*layer, images))],
        env={**os.environ, "ONEDNN_VERBOSE": "1"}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = [line.split(",") for line in told.splitlines() if ",exec,cpu,convolution," in line]
    chosen = [fields[fields.index("convolution") + 1] for fields in lines]
    names = ("onednn_contiguous", "onednn_channels_last")
    return dict(zip(names, chosen or ("not oneDNN",) * 2, strict=True))


def convolve(layer: Layer, images: int) -> None:
    """Once on contiguous maps, once on channels_last ones."""
    x, weight, bias = drawn(layer, images)
    F.conv2d(x.contiguous(), weight.contiguous(), bias, padding=1)
    F.conv2d(x, weight, bias, padding=1)


def measure_layers(rounds: int, numbers: list[int] | None, out: Path) -> None:
    rows: list[dict[str, object]] = []
    every = list(layers().items())
    for images in (1, 8):
        for layer, count in every if numbers is None else [every[n] for n in numbers]:
            times = timed(layer, images, rounds)
            best = min(ms for name, ms in times.items() if name.startswith("torch"))
            names = ("channels", "filters", "height", "width")
            rows.append(
                {
                    **dict(zip(names, layer, strict=True)), "layers": count, "images": images,
                    **{f"{name}_ms": round(ms, 3) for name, ms in times.items()},
                    **{f"f{t}_speedup": round(best / times[f"f{t}"], 2) for t in TILES},
                    **errors(layer), **implementations(layer, images), "rounds": rounds,
                }
            )  # fmt: skip
            print(rows[-1], flush=True)
            write_rows(out, rows)
    tell(rows)


def tell(rows: list[dict[str, object]]) -> None:
    """On how many of the network's layers which tile is faster than the best of torch's ways."""
    for images in (1, 8):
        some = [row for row in rows if int(str(row["images"])) == images]
        total = sum(int(str(row["layers"])) for row in some)
        for tile in TILES:
            faster = [row for row in some if float(str(row[f"f{tile}_speedup"])) > 1]
            n_faster = sum(int(str(row["layers"])) for row in faster)
            print(f"{images} images, F{tile}: faster on {n_faster} of {total} layers")


def measure_networks(rounds: int, out: Path) -> None:
    rows: list[dict[str, object]] = []
    for model in MODELS:
        cfg = build(model)
        bundle = Bundle(cfg, random_weights(cfg))
        tiles: tuple[TileChoice | None, ...] = (None, *TILES, "auto")
        openers = {str(t or "direct"): partial(TorchSession, bundle, THREADS, t) for t in tiles}
        latencies = measure_latency(openers, rounds, 1.0)
        folded = fold_batchnorm(bundle)
        images = torch.rand(1, 3, *cfg.input_hw)
        exact = network_of(folded.cfg, {k: v.double() for k, v in folded.weights.items()})
        network = network_of(folded.cfg, folded.weights)
        with torch.inference_mode():
            maps = exact(images.double())
            for t in tiles:
                found = (network if t is None else winograd(network, t))(images)
                far = max(
                    ((a - b).abs().mean() / b.std()).item()
                    for a, b in zip(found, maps, strict=True)
                )
                name = str(t or "direct")
                ms = latencies[name].median_ms
                speedup = round(latencies["direct"].median_ms / ms, 2)
                rows.append(
                    {"model": model, "size_px": cfg.net.width, "images": 1, "tile": name,
                     "latency_ms": round(ms, 2), "speedup": speedup, "error": f"{far:.1e}",
                     "rounds": rounds}
                )  # fmt: skip
                print(rows[-1], flush=True)
        write_rows(out, rows)


def table() -> None:
    """Both files as Markdown; the page has the first lines of it."""
    rows = list(csv.DictReader(CSV.open()))
    print("| layer | of them | images | torch, ms | F(2x2) | F(4x4) | F(6x6) | product in F(4x4) |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        best = min(float(v) for k, v in row.items() if k.startswith("torch_") and k.endswith("_ms"))
        ways = " | ".join(f"{row[f'f{t}_ms']} (x {row[f'f{t}_speedup']})" for t in TILES)
        share = float(row["f4_product_ms"]) / float(row["f4_ms"])
        what = f"{row['channels']} to {row['filters']}, {row['height']} px"
        print(f"| {what} | {row['layers']} | {row['images']} | {best} | {ways} | {share:.0%} |")
    tell([dict(row) for row in rows])
    for row in csv.DictReader(NETWORKS.open()) if NETWORKS.exists() else ():
        print(f"| {' | '.join(row[k] for k in ('model', 'tile', 'latency_ms', 'speedup'))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", action="store_true", help="whole networks in place of layers")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--layers", type=int, nargs="+", help="by number, 0 the first; else all")
    parser.add_argument("--out", type=Path, help="the CSV to write, else the one beside this file")
    parser.add_argument("--convolve", type=int, nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        if asked.convolve:
            convolve(tuple(asked.convolve[:4]), asked.convolve[4])
        elif asked.table:
            table()
        elif asked.networks:
            measure_networks(asked.rounds, asked.out or NETWORKS)
        else:
            measure_layers(asked.rounds, asked.layers, asked.out or CSV)


if __name__ == "__main__":
    main()
