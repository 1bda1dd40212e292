"""Training items depend on seed, epoch and index alone, and hold what the picture shows."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from yolo_slim.data.augment import Augmentation
from yolo_slim.data.dataset import Dataset, sample_of
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import DataError, InputError

INPUT_HW = (64, 96)


@pytest.fixture
def painted(tmp_path: Path) -> Dataset:
    """Eight pictures 120 wide and 100 high, each with a white box of class 1 and a crowd box."""
    rng = np.random.default_rng(1)
    samples = []
    for number in range(8):
        image = np.full((100, 120, 3), (10, 20, 30), np.uint8)
        left, top = rng.integers(0, 60, 2)
        box = (left, top, left + 40, top + 30)
        image[box[1] : box[3], box[0] : box[2]] = 255
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image)
        rows = [(*box, 1, False, None), (0, 0, 99, 99, 0, True, None)]
        samples.append(sample_of(path, number, (120, 100), rows)[0])
    return Dataset("painted", tuple(samples), ("a", "b"), (1, 2))


def _batches(training: TrainingSet, workers: int, epochs: int = 2) -> list[torch.Tensor]:
    loader = DataLoader(
        training,
        batch_size=3,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(0),
    )
    result = []
    for epoch in range(epochs):
        training.set_epoch(epoch)
        for images, targets, _ in loader:
            result += [images, targets]
    return result


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_targets_are_the_painted_boxes(painted, mode):
    training = TrainingSet(painted, INPUT_HW, mode)
    for image, targets, _ in (training[i] for i in range(len(training))):
        assert (image.shape, image.dtype) == ((3, *INPUT_HW), torch.uint8)
        assert (targets.shape, targets.dtype) == ((1, 5), torch.float32)  # the crowd is no target
        rows, columns = np.nonzero(image.numpy().min(axis=0) > 180)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(targets[0, 1:], found, atol=1)
        assert targets[0, 0] == 1


def test_planes_are_red_green_blue(painted):
    image, _, _ = TrainingSet(painted, INPUT_HW)[0]
    assert [int(plane.min()) for plane in image] == [30, 20, 10]


def test_a_box_beyond_the_picture_is_cut_at_its_border_not_at_the_letterbox(painted):
    rows = [(-20, -20, 140, 120, 0, False, None)]
    sample = sample_of(painted.samples[0].path, 1, (120, 100), rows)[0]
    training = TrainingSet(replace(painted, samples=(sample,)), (96, 96), "letterbox")
    np.testing.assert_allclose(training[0][1][0, 1:], [0, 8, 96, 88], atol=1e-4)


# A machine of one core is warned of two workers; what they read is the same there too.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_items_do_not_depend_on_the_number_of_workers_or_on_the_cache(painted):
    options = Augmentation(mosaic_p=0.5)
    warm = TrainingSet(painted, INPUT_HW, augmentation=options)
    warm.warm()
    cold = TrainingSet(painted, INPUT_HW, augmentation=options, cache="off")
    reference = _batches(cold, workers=0)
    for other in (_batches(warm, workers=0), _batches(warm, workers=2)):
        assert len(other) == len(reference) == 12
        for left, right in zip(reference, other, strict=True):
            assert torch.equal(left, right)


def test_seed_epoch_and_index_fix_the_draws(painted):
    def images(epoch: int, seed: int) -> torch.Tensor:
        training = TrainingSet(painted, INPUT_HW, augmentation=Augmentation(), seed=seed)
        training.set_epoch(epoch)
        return torch.stack([training[index][0] for index in range(len(training))])

    one = images(epoch=0, seed=0)
    assert torch.equal(one, images(epoch=0, seed=0))
    assert not torch.equal(one, images(epoch=1, seed=0))
    assert not torch.equal(one, images(epoch=0, seed=1))


def test_mosaic_brings_the_boxes_of_four(painted):
    training = TrainingSet(painted, INPUT_HW, augmentation=replace(Augmentation.none(), mosaic_p=1))
    assert max(len(training[i][1]) for i in range(8)) > 1


def test_collate_numbers_the_images_of_a_batch():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    targets = [torch.full((n, 5), float(n)) for n in (2, 0, 1)]
    images, rows, _ = collate([(image, t, ()) for t in targets])
    assert (images.shape, images.dtype) == ((3, 3, 4, 4), torch.uint8)
    assert rows[:, 0].tolist() == [0, 0, 2]
    assert rows[:, 1:].tolist() == [[2.0] * 5, [2.0] * 5, [1.0] * 5]
    assert collate([(image, targets[1], ())])[1].shape == (0, 6)


def test_warm_shows_progress_and_fills_the_cache(painted, monkeypatch):
    training = TrainingSet(painted, INPUT_HW)
    seen = []
    training.warm(lambda done, total: seen.append((done, total)))
    assert seen == [(n, 8) for n in range(1, 9)]
    monkeypatch.setattr(
        "yolo_slim.data.loader.read_image", lambda *_, **__: pytest.fail("read again")
    )
    assert training[3][0].shape == (3, *INPUT_HW)


def test_budget_decides_on_the_cache(painted):
    need = 8 * INPUT_HW[0] * INPUT_HW[1] * 3
    assert TrainingSet(painted, INPUT_HW, cache_budget_bytes=need).is_cached
    assert not TrainingSet(painted, INPUT_HW, cache_budget_bytes=need - 1).is_cached
    assert not TrainingSet(painted, INPUT_HW, cache="off").is_cached


@pytest.mark.parametrize("cache", ["ram", "disk", "off"])
def test_warm_leaves_out_what_cannot_be_read_and_names_it(painted, cache, tmp_path):
    painted.samples[5].path.write_bytes(b"rubbish")
    training = TrainingSet(painted, INPUT_HW, cache=cache, cache_folder=tmp_path / "cache")
    (fault,) = training.warm()
    assert "5.png is not a picture" in fault
    whole = TrainingSet(
        replace(painted, samples=painted.samples[:5] + painted.samples[6:]), INPUT_HW
    )
    assert len(training) == len(whole) == 7
    for index in range(7):
        assert torch.equal(training[index][0], whole[index][0])
        assert torch.equal(training[index][1], whole[index][1])


def test_warm_refuses_a_set_of_which_most_is_unreadable(painted):
    for sample in painted.samples[:5]:
        sample.path.write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"0\.png is not a picture"):
        TrainingSet(painted, INPUT_HW).warm()


def test_warm_with_cache_finds_a_picture_cut_short(painted):
    path = painted.samples[5].path
    path.write_bytes(path.read_bytes()[:-20])
    (fault,) = TrainingSet(painted, INPUT_HW).warm()
    assert "5.png ends early" in fault


def test_a_cache_on_disk_leaves_no_file_and_must_fit(painted, tmp_path, monkeypatch):
    training = TrainingSet(painted, INPUT_HW, cache="disk", cache_folder=tmp_path / "cache")
    training.warm()
    assert not any((tmp_path / "cache").iterdir())
    assert torch.equal(training[2][0], TrainingSet(painted, INPUT_HW)[2][0])
    monkeypatch.setattr("yolo_slim.data.cache.DISK_RESERVE_BYTES", 1 << 60)
    with pytest.raises(InputError, match="are free"):
        TrainingSet(painted, INPUT_HW, cache="disk", cache_folder=tmp_path / "cache")


@pytest.mark.parametrize("cache", ["ram", "off"])
@pytest.mark.parametrize(("size_wh", "hint"), [((100, 120), "EXIF"), ((64, 64), "annotated")])
def test_pictures_of_another_size_than_annotated_are_refused(painted, cache, size_wh, hint):
    wrong = replace(painted.samples[0], width_px=size_wh[0], height_px=size_wh[1])
    with pytest.raises(DataError, match=f"120x100 pixels, its annotations say .*{hint}"):
        TrainingSet(replace(painted, samples=(wrong,)), INPUT_HW, cache=cache).warm()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_takes_the_place_of_a_picture_lost_in_training(painted, workers):
    training = TrainingSet(painted, INPUT_HW)
    painted.samples[4].path.unlink()
    loader = DataLoader(training, batch_size=4, num_workers=workers, collate_fn=collate)
    first, second = list(loader)
    assert first[2] == () and "4.png cannot be read" in second[2][0]
    assert torch.equal(second[0][0], second[0][1]) and second[0].shape == (4, 3, *INPUT_HW)


def test_where_all_are_lost_the_batch_is_the_fault(painted):
    training = TrainingSet(painted, INPUT_HW)
    for sample in painted.samples:
        sample.path.unlink()
    fault = collate([training[2], training[3]])
    assert isinstance(fault, DataError) and "2.png cannot be read" in str(fault)


def test_mixing_ends_where_it_is_told_to(painted):
    mixed = replace(Augmentation.none(), mosaic_p=1, mixup_p=1, copy_paste_p=1)
    training = TrainingSet(painted, INPUT_HW, augmentation=mixed, calm_from=3)
    plain = TrainingSet(painted, INPUT_HW)
    training.set_epoch(2)
    assert not torch.equal(training[1][0], plain[1][0])
    training.set_epoch(3)
    assert torch.equal(training[1][0], plain[1][0])


def test_a_training_set_can_be_sent_to_a_spawned_worker(painted):
    training = TrainingSet(painted, INPUT_HW, augmentation=Augmentation())
    again = pickle.loads(pickle.dumps(training))
    assert torch.equal(again[2][0], training[2][0])
