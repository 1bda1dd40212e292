"""The first pictures of a split, one by one, each the one that its annotations describe."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolo_slim.data.describe import read_dataset
from yolo_slim.data.download.small_coco import Place, first_images, obtain_small
from yolo_slim.errors import DataError, RunError


def _picture(k: int, size_wh=(40, 30)) -> bytes:
    pixels = np.full((size_wh[1], size_wh[0], 3), 7 * k, np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@pytest.fixture
def small(server, now, tmp_path):
    """Serves ten pictures a split, in no order; gives a function that obtains the first n."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for split in ("train2017", "val2017"):
            ids = [3, 1, 9, 2, 8, 4, 7, 5, 6, 10]
            document = {
                "info": {"year": 2017},
                "images": [
                    {"id": k, "file_name": f"{k:03}.jpg", "width": 40, "height": 30} for k in ids
                ],
                "annotations": [
                    {"id": k, "image_id": k, "category_id": 1, "bbox": [1, 2, 3, 4]} for k in ids
                ],
                "categories": [{"id": 1, "name": "fig"}],
            }
            packed.writestr(f"annotations/instances_{split}.json", json.dumps(document))
            for k in ids:
                server.files[f"/{split}/{k:03}.jpg"] = _picture(k)
    place = Place(server.archive("notes.zip", buffer.getvalue()), server.url)

    @contextmanager
    def bar(text):
        yield lambda done, total: None

    def run(n: int = 4):
        told: list[str] = []
        return obtain_small(tmp_path / "set", n, bar, told.append, now, place), told

    return run


def test_the_first_pictures_read_as_a_data_set(small, server, tmp_path):
    description, _ = small(4)
    for split in ("train", "val"):
        dataset = read_dataset(description, None, None, split)
        assert sorted(s.path.name for s in dataset.samples) == [f"{k:03}.jpg" for k in (1, 2, 3, 4)]
        assert all(len(sample) == 1 for sample in dataset.samples)
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [
        "annotations", "coco-small.yaml", "train2017", "unpacked.json", "val2017"]  # fmt: skip
    assert len(server.asked) == 9


def test_a_second_call_does_nothing_and_another_count_is_refused(small, server):
    small(4)
    server.asked.clear()
    description, told = small(4)
    assert description is None and server.asked == [] and "already" in told[0]
    with pytest.raises(DataError, match="something else"):
        small(5)


def test_a_description_that_is_missing_is_written(small, server):
    description, _ = small(4)
    description.unlink()
    server.asked.clear()
    assert small(4)[0] == description and description.is_file() and server.asked == []


def test_what_another_download_has_begun_stays(small, tmp_path):
    begun = tmp_path / "set" / ".downloads" / "train2017.zip.part"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"19 GB")
    small(4)
    assert list(begun.parent.iterdir()) == [begun]


def test_a_failure_keeps_the_pictures_that_came(small, server, tmp_path):
    gone = server.files.pop("/train2017/002.jpg")
    with pytest.raises(DataError, match=r"002\.jpg: the server says 404"):
        small(4)
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [".downloads"]
    server.files["/train2017/002.jpg"] = gone
    server.asked.clear()
    small(4)
    assert 5 <= len(server.asked) < 9, "the archive and some pictures were there"


@pytest.mark.parametrize("content", [_picture(2, (30, 40)), _picture(2)[:-9], b"dear", b""])
def test_another_picture_is_refused(content, small, server, tmp_path):
    server.files["/train2017/002.jpg"] = content
    with pytest.raises(RunError, match="is not the picture of 40x30"):
        small(4)
    assert not list((tmp_path / "set").rglob("002.jpg*"))


def test_an_archive_of_something_else(small, server, now, tmp_path):
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    place = Place(server.archive("empty.zip", buffer.getvalue()), server.url)

    @contextmanager
    def bar(text):
        yield lambda done, total: None

    with pytest.raises(DataError, match=r"has no instances_train2017\.json"):
        obtain_small(tmp_path / "other", 4, bar, print, now, place)


@given(st.lists(st.integers(0, 99), unique=True, max_size=12), st.integers(1, 15))
def test_first_images_are_those_of_lowest_id_with_all_that_is_theirs(ids, n):
    document = {
        "images": [{"id": k} for k in ids],
        "annotations": [{"image_id": k, "id": 3 * k + j} for k in ids for j in range(2)],
        "categories": [1],
    }
    found = first_images(document, n)
    kept = [image["id"] for image in found["images"]]
    assert kept == sorted(ids)[:n]
    assert [a["image_id"] for a in found["annotations"]] == [
        k for k in ids if k in kept for _ in "ab"
    ]
    assert found["categories"] == [1] and len(document["images"]) == len(ids)
