"""yolo-slim data convert: one command from a form to another, faults in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_sets import assert_same_boxes, picture, voc_file, voc_object

from yolo_slim.cli import main
from yolo_slim.data.describe import read_dataset


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A VOC set of two splits and its description, and broken things."""
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        picture(tmp_path / split / f"{name}.png")
        voc_file(tmp_path / f"{split}_xml" / f"{name}.xml", voc_object("cat", (1, 2, 11, 22)),
                 voc_object("dog", (5, 5, 5, 5)))  # fmt: skip
    text = "".join(f"{s}: {{images: {s}, annotations: {s}_xml}}\n" for s in ("train", "val"))
    (tmp_path / "set.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text("train: {images: train, annotations: broken}\n")
    (tmp_path / "mixed.yaml").write_text("train: train\nval: {images: a, annotations: b}\n")
    (tmp_path / "none.yaml").write_text("names: [cat]\n")
    (tmp_path / "data.yaml").write_text("train: train\nnames: [cat]\n")
    (tmp_path / "class7.yaml").write_text("train: rows\nnames: [cat]\n")
    picture(tmp_path / "rows" / "a.png")
    (tmp_path / "rows" / "a.txt").write_text("0 .5 .5 .1 .1\n7 .5 .5 .1 .1\n")
    bomb = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>'
    voc_file(tmp_path / "bomb" / "a.xml").write_text(bomb)
    voc_file(tmp_path / "cut" / "a.xml").write_text("<annotation><object>")
    voc_file(tmp_path / "latin" / "a.xml").write_bytes(b"<annotation>\n\xff</annotation>")
    voc_file(tmp_path / "nan" / "a.xml", voc_object("cat", (1, "nan", 3, 4)))
    voc_file(tmp_path / "absent" / "z.xml", voc_object("cat", (1, 2, 3, 4)))
    (tmp_path / "labelme").mkdir()
    (tmp_path / "labelme" / "a.json").write_text('{"shapes": [{"label": "cat", "points": [[1]]}]}')
    (tmp_path / "names.txt").write_text("mouse\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *command.split()])
    return int(caught.value.code or 0)


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "labelme", "darknet"])
def test_both_splits_are_converted_and_the_description_is_ready(place, to, capsys):
    assert run(f"convert --data set.yaml --to {to} --out made --json made.json") == 0
    told = json.loads((place / "made.json").read_text())
    description = Path(told["description"])
    assert description.parent == Path("made") and told["to"] == to
    assert told["splits"] == {"train": {"images": 2, "boxes": 2}, "val": {"images": 1, "boxes": 1}}
    assert told["classes"] == ["cat", "dog"]
    assert "2 boxes without width or height were left out" in told["notes"]
    out = " ".join(capsys.readouterr().out.split())
    assert "note: train_xml: 2 boxes without width or height" in out
    assert f"{description}: train 2 pictures with 2 boxes, val 1 pictures with 1 boxes" in out
    for split in ("train", "val"):
        given = read_dataset(Path("set.yaml"), None, None, split)
        assert_same_boxes(given, read_dataset(description, None, None, split))


def test_a_pair_is_one_split(place):
    pair = "--images val --annotations val_xml --split val"
    assert run(f"convert {pair} --to coco --out made --pictures copy") == 0
    assert not (place / "made/images/val/c.png").is_symlink()
    assert len(read_dataset(Path("made/data.yaml"), None, None, "val")) == 1


def test_into_the_empty_folder_where_the_person_stands(place, monkeypatch):
    (place / "new").mkdir()
    monkeypatch.chdir(place / "new")
    assert run("convert --data ../set.yaml --to yolo --out .") == 0
    assert sorted(path.name for path in Path().iterdir()) == ["data.yaml", "images", "labels"]
    assert len(read_dataset(Path("data.yaml"), None, None, "train")) == 2
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_names_of_a_pair(place):
    (place / "names.txt").write_text("dog\ncat\n")
    pair = "--images val --annotations val_xml --names names.txt"
    assert run(f"convert {pair} --to coco --out made") == 0
    dataset = read_dataset(Path("made/data.yaml"), None, None, "train")
    assert dataset.class_names == ("dog", "cat")
    assert dataset.samples[0].class_ids.tolist() == [1]


PAIR = "--images train --annotations"
BAD = {
    "nothing named": ("--to coco --out x", "no data"),
    "a missing file": ("--data nope.yaml --to coco --out x", "nope.yaml cannot be read"),
    "a mixture": ("--data mixed.yaml --to coco --out x", "`val` has images and annotations"),
    "no split": ("--data none.yaml --to coco --out x", "has neither `train` nor `val`"),
    "broken annotations": ("--data other.yaml --to coco --out x", "broken cannot be read"),
    "no labels": ("--data data.yaml --to coco --out x", "none of 2 pictures has a label file"),
    "a class out of range": ("--data class7.yaml --to coco --out x", "a.txt:2 has class 7"),
    "an entity bomb": (f"{PAIR} bomb --to coco --out x", "a.xml:1 declares the entity `a`"),
    "cut XML": (f"{PAIR} cut --to coco --out x", "a.xml:1 is not XML"),
    "wrong bytes": (f"{PAIR} latin --to coco --out x", "a.xml:2 is not XML"),
    "not a number": (f"{PAIR} nan --to coco --out x", "a.xml:3 has <ymin>nan</ymin>"),
    "an absent picture": (f"{PAIR} absent --to coco --out x", "lacks the pictures of 1 files"),
    "a broken shape": (f"{PAIR} labelme --to coco --out x", "shape 0 (cat) has points"),
    "names that lack one": (
        f"{PAIR} train_xml --names names.txt --to coco --out x", "not among the names mouse"),
    "names beside a description": (
        "--data set.yaml --names names.txt --to coco --out x", "--names goes with"),
    "a split beside a description": (
        "--data set.yaml --split val --to coco --out x", "--split goes with"),
    "a folder in use": ("--data set.yaml --to coco --out full", "full is not empty"),
    "into the pictures": (f"{PAIR} train_xml --to coco --out train/x", "train/x lies in train"),
    "into the pictures of a description": (
        "--data set.yaml --to coco --out val/x", "val/x lies in val"),
    "into the annotations of a description": (
        "--data set.yaml --to coco --out train_xml/x", "lies in train_xml"),
    "into the pictures of a data.yaml": (
        "--data data.yaml --to coco --out train/x/y", "train/x/y lies in train"),
    "json into the annotations": (
        f"{PAIR} train_xml --to coco --out x --json train_xml/x.json", "lies in train_xml"),
    "over the pictures": (f"{PAIR} train_xml --to coco --out train", "would replace"),
    "json over the source": (
        "--data set.yaml --to coco --out x --json set.yaml", "would replace"),
    "under a file": ("--data set.yaml --to coco --out names.txt/x", "Not a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_two_lines_and_leaves_nothing(place, case, capsys):
    command, told = BAD[case]
    before = sorted(place.rglob("*"))
    assert run(f"convert {command}") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and told in captured.err
    assert len(captured.err.strip().splitlines()) <= 2
    assert "Traceback" not in captured.err + captured.out
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", ["--data set.yaml --out x", "--data set.yaml --to createml "
                                     "--out x", "--data set.yaml --to coco"])  # fmt: skip
def test_unusable_arguments_are_status_2(place, command):
    assert run(f"convert {command}") == 2
    assert not (place / "x").exists()


def test_a_third_split_is_told(place, capsys):
    (place / "rows" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    (place / "data.yaml").write_text("train: rows\ntest: rows\nnames: [cat]\n")
    assert run("convert --data data.yaml --to coco --out made") == 0
    assert "note: data.yaml: `test` is not converted" in capsys.readouterr().out
