"""Files are found through links, once each, and hidden ones never."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sets import picture, voc_file, voc_object

from yolo_slim.data.annotations import form_of
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.folders import read_picture_folders
from yolo_slim.found_files import files_below
from yolo_slim.video.source import find_source, frames, is_picture


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """day/a.png, and night, a link to a folder elsewhere with b.png."""
    picture(tmp_path / "set" / "day" / "a.png")
    picture(tmp_path / "disk" / "b.png")
    (tmp_path / "set" / "night").symlink_to(tmp_path / "disk")
    return tmp_path / "set"


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_a_linked_folder_is_searched(linked):
    assert found(linked) == ["day/a.png", "night/b.png"]


@pytest.mark.parametrize("target", [".", "..", "day", "../disk"])
def test_no_link_leads_in_a_circle_or_to_a_file_twice(linked, target):
    for folder in (linked, linked / "day", linked.parent / "disk"):
        (folder / "again").symlink_to(linked / target)
    files = files_below(linked)
    assert sorted(path.name for path in files) == ["a.png", "b.png"]
    assert linked / "day" / "a.png" in files


def test_annotations_and_pictures_behind_links_are_read(linked):
    voc_file(linked.parent / "xml" / "b.xml", voc_object("cat", (1, 2, 3, 4)))
    (linked.parent / "boxes").mkdir()
    (linked.parent / "boxes" / "night").symlink_to(linked.parent / "xml")
    assert form_of(linked.parent / "boxes") == "voc"
    dataset = read_dataset(None, linked, linked.parent / "boxes", "train")
    assert [sample.path.name for sample in dataset.samples] == ["b.png"]
    assert dataset.notes == ("1 pictures without annotations were left out",)


def test_hidden_files_are_no_pictures_of_a_class_or_of_a_folder(tmp_path):
    for name in ("cat/1.png", "dog/1.png"):
        picture(tmp_path / name)
        (tmp_path / name).with_name("._1.png").write_text("a resource fork of macOS")
    folders = read_picture_folders(tmp_path)
    assert [path.name for path in folders.paths] == ["1.png", "1.png"]
    assert find_source(tmp_path / "cat").files == (tmp_path / "cat" / "1.png",)
    assert len(list(frames(tmp_path / "cat"))) == 1


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG"])
def test_every_suffix_of_a_picture_is_one_for_detect(tmp_path, suffix):
    path = picture(tmp_path / f"p{suffix}")
    for source in (path, tmp_path):
        (frame,) = frames(source)
        assert frame.video is None


def test_what_may_move_is_a_video():
    assert not is_picture(Path("a.gif"))
