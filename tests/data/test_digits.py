"""The digits set is the same for the same seed, keeps train and val apart, and boxes its ink."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from yolo_slim.data.describe import read_dataset
from yolo_slim.data.digits import compose, draw_ink, make_digits, split_digits
from yolo_slim.data.image import read_image
from yolo_slim.errors import DataError

SMALL = {"n_train": 30, "n_val": 6, "size_px": 128}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "digits"
    make_digits(folder, **SMALL)
    return folder


@pytest.fixture(scope="module")
def scenes():
    cells, class_ids = split_digits(0)["train"]
    return [compose(cells, class_ids, 160, np.random.default_rng(seed)) for seed in range(80)]


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_set_reads_as_a_data_set(digits):
    for split, count in (("train", 30), ("val", 6)):
        dataset = read_dataset(digits / "digits.yaml", None, None, split)
        assert len(dataset) == count
        assert dataset.class_names == tuple("0123456789")
        assert dataset.notes == ()
        for sample in dataset.samples:
            assert read_image(sample.path).shape == (128, 128, 3)
            assert len(sample) <= 8
    assert not list(digits.parent.glob(".*"))


def test_same_seed_same_bytes_other_seed_others(digits, tmp_path):
    make_digits(tmp_path / "again", **SMALL)
    assert _hashes(tmp_path / "again") == _hashes(digits)
    make_digits(tmp_path / "other", **SMALL, seed=1)
    assert _hashes(tmp_path / "other") != _hashes(digits)


def test_a_set_that_is_there_is_left_alone(digits):
    before = {file: file.stat().st_mtime_ns for file in digits.rglob("*")}
    make_digits(digits, **SMALL)
    assert {file: file.stat().st_mtime_ns for file in digits.rglob("*")} == before


def test_nothing_else_is_ever_overwritten(digits, tmp_path):
    with pytest.raises(DataError, match="other parameters"):
        make_digits(digits, **SMALL, seed=5)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="something else"):
        make_digits(tmp_path, **SMALL)
    with pytest.raises(DataError, match="something else"):
        make_digits(tmp_path / "thesis.txt", **SMALL)
    with pytest.raises(DataError, match="cannot be written"):
        make_digits(tmp_path / "thesis.txt" / "digits", **SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"n_train": 0}, {"n_val": -1}, {"size_px": 50}, {"seed": -1}])
def test_unusable_parameters_are_a_data_error(wrong, tmp_path):
    with pytest.raises(DataError, match="cannot be made"):
        make_digits(tmp_path / "x", **{**SMALL, **wrong})


def test_train_and_val_share_no_digit():
    pool = split_digits(3)
    train, val = ({cells.tobytes() for cells in pool[split][0]} for split in ("train", "val"))
    assert len(pool["train"][0]) + len(pool["val"][0]) == 1797
    assert not train & val
    for split in ("train", "val"):
        assert set(pool[split][1].tolist()) == set(range(10))


@pytest.mark.parametrize("height_px", [24, 25, 47, 80])
def test_drawn_ink_has_the_height_asked_for_and_no_empty_border(height_px):
    for cells in split_digits(0)["val"][0][:40]:
        ink = draw_ink(cells, height_px)
        assert abs(len(ink) - height_px) <= 1
        for line in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
            assert line.max() > 0
        assert ink.min() >= 0 and ink.max() == pytest.approx(1, abs=0.05)


def test_boxes_are_tight_around_the_ink(scenes):
    for scene in scenes:
        assert len(scene.ink) == len(scene.boxes_xyxy) == len(scene.class_ids)
        for ink, box in zip(scene.ink, scene.boxes_xyxy, strict=True):
            rows, columns = np.nonzero(ink)
            assert box.tolist() == [
                columns.min(),
                rows.min(),
                columns.max() + 1,
                rows.max() + 1,
            ]


def test_what_is_plainly_seen_reaches_nearly_to_the_box(scenes):
    for scene in scenes:
        for ink, box in zip(scene.ink, scene.boxes_xyxy, strict=True):
            rows, columns = np.nonzero(ink > 0.5)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(seen - box).max() <= 0.08 * (box[3] - box[1])


def test_ink_stands_out_from_its_ground(scenes):
    luma = np.array([0.114, 0.587, 0.299])
    contrasts = []
    for scene in scenes:
        ground = scene.ink.max(axis=0, initial=0) == 0
        for ink in scene.ink:
            rows, columns = np.nonzero(ink)
            near = np.zeros_like(ground)
            near[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
            solid = scene.image[(ink > 0.95) & (scene.ink.sum(axis=0) == ink)].astype(float)
            around = scene.image[near & ground].astype(float)
            if len(solid) > 20 and len(around) > 20:
                contrasts.append(abs(solid.mean(axis=0) @ luma - around.mean(axis=0) @ luma))
    assert len(contrasts) > 200
    assert np.quantile(contrasts, 0.01) > 50


def test_digits_hardly_overlap_and_all_counts_occur(scenes):
    counts = {len(scene.class_ids) for scene in scenes}
    assert {0, 1, 8} <= counts and max(counts) == 8
    for scene in scenes:
        boxes = scene.boxes_xyxy
        shared = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = (shared - np.maximum(boxes[:, None, :2], boxes[None, :, :2])).clip(0).prod(axis=2)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        np.fill_diagonal(shared, 0)
        union = areas[:, None] + areas[None] - shared
        assert (shared <= 0.1 * union).all()
        assert (shared <= 0.15 * np.minimum(areas[:, None], areas[None])).all()
        assert len(boxes) == 0 or (boxes.min() >= 0 and boxes.max() <= 160)


def test_heights_span_the_range_evenly_in_the_logarithm(scenes):
    boxes = np.concatenate([scene.boxes_xyxy for scene in scenes])
    heights = boxes[:, 3] - boxes[:, 1]
    assert heights.min() <= 25 and 70 <= heights.max() <= 81
    # 44 is as far from 24 as from 80; large ones find a place less often.
    assert 0.4 < (heights < 44).mean() < 0.65
