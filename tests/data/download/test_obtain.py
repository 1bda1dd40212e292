"""A set ends up in its folder, described, once."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from yolo_slim.data.describe import read_dataset
from yolo_slim.data.download import obtain as module
from yolo_slim.data.download.catalogue import (
    CATALOGUE,
    Archive,
    Digest,
    Source,
    find_parts,
    find_source,
)
from yolo_slim.data.download.obtain import describe, obtain
from yolo_slim.errors import DataError, RunError


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def source(server) -> Source:
    """A set laid out as COCO is, on the server."""
    picture = cv2.imencode(".png", np.full((30, 40, 3), 90, np.uint8))[1].tobytes()
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "fig"}],
    }
    notes = json.dumps(document).encode()
    contents = {
        "train": _packed({"train2017/a.png": picture}),
        "val": _packed({"val2017/a.png": picture, "val2017/": b""}),
        "annotations": _packed(
            {f"annotations/instances_{s}2017.json": notes for s in ("train", "val")}
        ),
    }
    parts = {}
    for name, archive in CATALOGUE["coco"].parts.items():
        content = contents[name]
        made = server.archive(archive.file_name, content)
        parts[name] = Archive(archive.folder, made.urls, made.digest, len(content), archive.inside)
    return Source("coco", parts, CATALOGUE["coco"].description, "as you like")


@pytest.fixture
def fetch_all(now, tmp_path):
    """Obtains parts into tmp_path/set; gives back what was told."""

    @contextmanager
    def bar(text):
        yield lambda done, total: None

    def run(source, parts=None):
        told: list[str] = []
        if obtain(find_parts(source, parts), tmp_path / "set", bar, told.append, now):
            describe(source, tmp_path / "set")
        return told

    return run


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_description_reads_as_a_data_set(source, fetch_all, tmp_path):
    told = fetch_all(source)
    assert [re.sub(r".*/", "", line) for line in told] == [
        "train2017: 1 files", "val2017: 1 files", "annotations: 2 files"]  # fmt: skip
    out = tmp_path / "set"
    assert _names(out) == ["annotations", "coco.yaml", "train2017", "unpacked.json", "val2017"]
    for split in ("train", "val"):
        dataset = read_dataset(out / "coco.yaml", None, None, split)
        assert dataset.class_names == ("fig",) and len(dataset.samples[0]) == 1
    assert "as you like" in (out / "coco.yaml").read_text()


def test_a_second_call_asks_for_nothing_and_changes_nothing(source, fetch_all, server, tmp_path):
    fetch_all(source)
    server.asked.clear()
    (tmp_path / "set" / "coco.yaml").write_text("mine")
    told = fetch_all(source)
    assert server.asked == [] and all("is there already" in line for line in told)
    assert (tmp_path / "set" / "coco.yaml").read_text() == "mine"
    assert ".downloads" not in _names(tmp_path / "set")


def test_parts_come_one_after_the_other(source, fetch_all, server, tmp_path):
    fetch_all(source, "val, annotations")
    text = (tmp_path / "set" / "coco.yaml").read_text()
    assert "val: {" in text and "train: {" not in text
    server.asked.clear()
    fetch_all(source)
    assert len(server.asked) == 1
    assert "train: {" in (tmp_path / "set" / "coco.yaml").read_text()


def test_a_part_without_its_annotations_is_not_described(source, fetch_all, tmp_path):
    fetch_all(source, "val")
    assert _names(tmp_path / "set") == ["unpacked.json", "val2017"]


def test_a_folder_that_was_removed_comes_again(source, fetch_all, tmp_path):
    fetch_all(source)
    shutil.rmtree(tmp_path / "set" / "val2017")
    fetch_all(source)
    assert _names(tmp_path / "set" / "val2017") == ["a.png"]


def test_a_failure_leaves_what_came_and_nothing_half(source, fetch_all, server, tmp_path):
    server.cut = [10**9, 20, 0, 0, 0]
    with pytest.raises(RunError, match="goes on where"):
        fetch_all(source)
    out = tmp_path / "set"
    assert _names(out) == [".downloads", "train2017", "unpacked.json"]
    server.cut = []
    server.asked.clear()
    fetch_all(source)
    assert server.asked == ["bytes=20-", None]


def test_nothing_is_left_where_nothing_came(source, fetch_all, server, tmp_path):
    server.files.clear()
    with pytest.raises(DataError, match="404"):
        fetch_all(source)
    assert not (tmp_path / "set").exists()
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="404"):
        fetch_all(source)
    assert _names(tmp_path) == ["set"] and _names(tmp_path / "set") == []


def test_a_verified_archive_is_not_fetched_again(source, fetch_all, server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "unpack", lambda *_: (_ for _ in ()).throw(RunError("no room")))
    with pytest.raises(RunError):
        fetch_all(source, "val")
    monkeypatch.undo()
    server.asked.clear()
    fetch_all(source, "val")
    assert server.asked == []


def test_what_is_not_ours_is_never_replaced(source, fetch_all, tmp_path):
    (tmp_path / "set" / "val2017").mkdir(parents=True)
    (tmp_path / "set" / "val2017" / "thesis.txt").write_text("dear")
    with pytest.raises(DataError, match="val2017 holds something else"):
        fetch_all(source)
    assert _names(tmp_path / "set") == ["val2017"]
    for text in ("{", "[]"):
        (tmp_path / "set" / "unpacked.json").write_text(text)
        with pytest.raises(DataError, match="damaged"):
            fetch_all(source)


def test_room_is_looked_for_before(source, fetch_all, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunError, match="make room"):
        fetch_all(source)
    assert not (tmp_path / "set").exists()


def test_the_catalogue_is_sound():
    folders = [a.folder for source in CATALOGUE.values() for a in source.parts.values()]
    assert len(set(folders)) == len(folders)
    for name, source in CATALOGUE.items():
        assert name == source.name == find_source(name.upper()).name
        assert source.licence and source.description
        for archive in source.parts.values():
            assert archive.size and archive.size > 10**8
            assert all(url.rsplit("/", 1)[-1] == archive.file_name for url in archive.urls)
        for parts, images, boxes in source.description.values():
            assert set(parts) <= set(source.parts)
            used = {source.parts[part].folder for part in parts}
            assert {images.split("/")[0], boxes.split("/")[0]} == used


def test_voc_has_the_sums_of_torchvision():
    torchvision = pytest.importorskip("torchvision.datasets.voc").DATASET_YEAR_DICT
    known = {entry["filename"]: entry["md5"] for entry in torchvision.values()}
    ours = [a for name in ("voc2007", "voc2012") for a in CATALOGUE[name].parts.values()]
    assert len(ours) == 3
    for archive in ours:
        if archive.file_name == "VOCtrainval_11-May-2012.tar":  # 2008's entry has this name, too
            assert torchvision["2012"]["md5"] == archive.digest.value
        else:
            assert known[archive.file_name] == archive.digest.value


def test_names_on_disk_are_plain():
    digest = Digest("md5", hashlib.md5(b"").hexdigest())
    for url in ("http://h", "http://h/", "http://h/..", "http://h/a/%2e%2e", "http://h/a;b c"):
        assert re.fullmatch(r"[A-Za-z0-9_%-][\w.-]*", Archive("x", (url,), digest).file_name)
