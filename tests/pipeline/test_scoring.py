"""A data set is scored as its annotations say, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_sets import picture

from yolo_slim.data.dataset import Dataset, sample_of
from yolo_slim.errors import DataError
from yolo_slim.pipeline.scoring import input_batches, network_scorer
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


@pytest.mark.parametrize(
    ("said", "told"),
    [((80, 60), r"a\.png has 40x30 pixels, its annotations say 80x60"), ((30, 40), "EXIF")],
)
def test_a_picture_of_another_size_than_its_boxes_is_refused(tmp_path, said, told):
    path = picture(tmp_path / "a.png")
    sample, _ = sample_of(path, 1, (40, 30), [(1, 2, 20, 20, 0, False, None)])
    dataset = Dataset("made", (sample,), ("fig",), (1,))
    cfg = build("yolov3-nano", 1, 64)
    score = network_scorer(dataset)
    network = network_of(cfg, random_weights(cfg)).eval()
    assert set(score(network)) == {"AP", "AP50"}
    wrong = replace(dataset, samples=(replace(sample, width_px=said[0], height_px=said[1]),))
    with pytest.raises(DataError, match=told) as caught:
        network_scorer(wrong)(network)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_images", [1, 8, 9, 17])
def test_no_batch_is_of_a_single_picture_where_there_are_more(tmp_path, n_images):
    """Such a batch has no statistics where a map is 1x1: it cannot be recalibrated from."""
    path = picture(tmp_path / "a.png")
    sample, _ = sample_of(path, 1, (40, 30), [])
    dataset = Dataset("made", (sample,) * 20, ("fig",), (1,))
    sizes = [len(batch) for batch in input_batches(dataset, build("yolov3-nano", 1, 64), n_images)]
    assert sum(sizes) == n_images and max(sizes) <= 8
    assert min(sizes) >= min(2, n_images)
