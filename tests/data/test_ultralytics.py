"""data.yaml of the Ultralytics world, and folders of YOLO labels for folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sets import picture

from yolo_slim.data.describe import read_dataset, splits_in
from yolo_slim.data.ultralytics import label_path
from yolo_slim.errors import DataError

NAMES = "names: [fig, pear]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """images/train with three pictures 40x20, of which two have labels; images/val with one."""
    for name in ("train/a", "train/b c", "train/sub/d", "val/e"):
        picture(tmp_path / "images" / f"{name}.png", 40, 20)
    (tmp_path / "labels/train/sub").mkdir(parents=True)
    (tmp_path / "labels/val").mkdir()
    (tmp_path / "labels/train/a.txt").write_text("1 0.5 0.5 0.5 0.5\n\n0 .25 .5 .1 .2\n")
    (tmp_path / "labels/train/sub/d.txt").write_text("1.0 .1 .1 .5 .2 .3 .9\n")
    (tmp_path / "labels/val/e.txt").write_text("")
    return tmp_path


def read(root: Path, text: str, split: str = "train"):
    (root / "data.yaml").write_text(text)
    return read_dataset(root / "data.yaml", None, None, split)


def test_pictures_boxes_polygons_and_notes(root):
    dataset = read(root, "train: images/train\nval: images/val\ndownload: |\n  rm -rf /\n" + NAMES)
    assert dataset.class_names == ("fig", "pear") and dataset.category_ids == (1, 2)
    assert [s.path.name for s in dataset.samples] == ["a.png", "b c.png", "d.png"]
    np.testing.assert_allclose(
        dataset.samples[0].boxes_xyxy, [[10, 5, 30, 15], [8, 8, 12, 12]], atol=1e-5
    )
    np.testing.assert_array_equal(dataset.samples[0].class_ids, [1, 0])
    np.testing.assert_allclose(dataset.samples[2].boxes_xyxy, [[4, 2, 20, 18]], atol=1e-5)
    assert dataset.n_outlines == 1
    assert dataset.notes == (
        "`download` was not run: fetch the pictures yourself where they are missing",
        "1 pictures have no label file: they count as pictures without objects",
        "1 polygons became the boxes around them",
    )


def test_the_other_split_and_which_there_are(root):
    text = "train: images/train\nval: images/val\n" + NAMES
    dataset = read(root, text, "val")
    assert [len(sample) for sample in dataset.samples] == [0]
    assert splits_in(root / "data.yaml") == ("train", "val")
    read(root, "train: images/train\nval:\n" + NAMES)
    assert splits_in(root / "data.yaml") == ("train",)


PLACES = {
    "a list of folders": "train: [images/train, images/val]\n",
    "a folder with all": "train: images\n",
    "path": "path: images\ntrain: [train, val]\n",
    "path of this folder": "path: .\ntrain: [images/train, images/val]\n",
    "as Roboflow says it": "train: [../images/train, ../images/val]\n",
    "lists": "train: [list.txt, images/val]\n",
    "home": "train: [$HERE/images/train, ~/images/val]\n",
}


@pytest.mark.parametrize("case", PLACES)
def test_where_pictures_may_be(root, case, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("HERE", str(root))
    (root / "list.txt").write_text(
        f"./images/train/a.png\n{root}/images/train/sub/d.png\nimages/train/b c.png\n\n"
    )
    dataset = read(root, PLACES[case] + NAMES)
    assert sorted(s.path.name for s in dataset.samples) == ["a.png", "b c.png", "d.png", "e.png"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: {1: pear, 0: fig}", ("fig", "pear")),
        ("names: {'0': fig, '1': pear}\nnc: 2", ("fig", "pear")),
        ("names: [fig, 7]", ("fig", "7")),
        ("names: ['yes', \"no\"]", ("yes", "no")),
        ("nc: 3", ("class_0", "class_1", "class_2")),
    ],
)
def test_names_and_their_number(root, text, names):
    assert read(root, f"train: images/train\n{text}\n").class_names == names


def test_keypoints_are_left_out(root):
    (root / "labels/train/a.txt").write_text("0 .5 .5 .5 .5 .1 .1 .2 .2\n")
    dataset = read(root, "train: images/train\nkpt_shape: [2, 2]\n" + NAMES)
    np.testing.assert_allclose(dataset.samples[0].boxes_xyxy, [[10, 5, 30, 15]], atol=1e-5)
    assert "the keypoints of 1 objects were left out" in dataset.notes


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("/images/a/images/train/b.jpg", "/images/a/labels/train/b.txt"),
        ("images/train/b.c.jpg", "labels/train/b.c.txt"),
        ("/d/my_images/b.jpg", "/d/my_images/b.txt"),
    ],
)
def test_the_last_images_becomes_labels(image, label):
    assert label_path(Path(image)) == Path(label)


def test_labels_beside_the_pictures(root):
    (root / "labels/train/a.txt").rename(root / "images/train/a.txt")
    assert len(read(root, "train: images/train\n" + NAMES).samples[0]) == 2


TRAIN = "train: images/train\n"
BAD_YAML = [
    (TRAIN, "has neither `names` nor `nc`"),
    (TRAIN + "names: []", "`names` is empty"),
    (TRAIN + "names: {0: a, 2: b}", "has the keys 0, 2, expected 0 to 1"),
    (TRAIN + "names: [a, '']", "`names` holds ''"),
    (TRAIN + "names: [a, [b]]", r"`names` holds \['b'\]"),
    (TRAIN + "names: [on, a]", "`names` holds a word that YAML reads as true, .*put it in quotes"),
    (TRAIN + "names: {0: a, 1: no}", "reads as false"),
    (TRAIN + "names: a", "`names` is 'a', expected a list"),
    (TRAIN + "nc: 3\n" + NAMES, "says nc: 3, and has 2 names"),
    (TRAIN + "nc: two\n" + NAMES, "`nc` is 'two'"),
    (TRAIN + "nc: -1\n" + NAMES, "`nc` is -1"),
    ("val: images/val\n" + NAMES, r"data\.yaml has no `train`"),
    ("train: nowhere\n" + NAMES, "`train` is nowhere, but .*nowhere is not there"),
    ("train: labels\n" + NAMES, "labels holds no picture"),
    ("train: data.yaml\n" + NAMES, "expected a folder of pictures, or a .txt"),
    ("train: [3]\n" + NAMES, "`train` is 3, expected a path"),
    ("train: [images/train, images/train/sub]\n" + NAMES, r"names .*d\.png twice"),
    ("path: nowhere\n" + TRAIN + NAMES, "`path` is 'nowhere', but .* is no folder"),
    ("kpt_shape: [17]\n" + TRAIN + NAMES, r"`kpt_shape` is \[17\]"),
    (TRAIN + "name: [a, b]\n", "unknown key `name`. Did you mean `names`"),
    (TRAIN + "val: {images: a, annotations: b}\n", "`val` has images and annotations, `train`"),
    ("train: {images: a, annotations: b}\nnc: 2\n", "has `nc` as an Ultralytics data.yaml has"),
]


@pytest.mark.parametrize(("text", "message"), BAD_YAML)
def test_a_wrong_data_yaml_is_a_data_error(root, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(root, text)
    assert str(caught.value).count("\n") <= 1


BAD_ROWS = [
    ("0 .5 .5 .1 .1\n2 .5 .5 .1 .1", r"a\.txt:2 has class 2, expected 0 to 1"),
    ("-1 .5 .5 .1 .1", "has class -1"),
    ("0.5 .5 .5 .1 .1", r"expected `class cx cy w h` or `class x1 y1"),
    ("fig .5 .5 .1 .1", "reads `fig .5 .5 .1 .1`"),
    ("0 .5 .5 .1", "expected `class cx cy w h`"),
    ("0 .5 .5 .1 .1 .9", "expected `class cx cy w h`"),
    ("0 .5 .5 .1 .1 .9 .9 .9", "expected `class cx cy w h`"),
    ("0 nan .5 .1 .1", "has nan"),
    ("0 .5 .5 .1 -0.2", "has -0.2"),
    ("0 20 10 5 5", r"has 20, .*not pixels"),
    ("0 .1 .1 .5 .2 .3 7", "has 7, expected parts"),
    ("0 1e999 .1 .5 .2", "has inf"),
    ("0 0_1 .1 .5 .2", "reads `0 0_1"),
    ("0 ٠.5 .1 .5 .2", "reads `0"),
    ("9e99 .1 .1 .5 .2", "has class"),
]


@pytest.mark.parametrize(("text", "message"), BAD_ROWS)
def test_a_wrong_row_is_a_data_error_with_its_line(root, text, message):
    (root / "labels/train/a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read(root, TRAIN + NAMES)


def test_aliases_of_yaml_fill_no_memory(root):
    """Nine lines, of which the last would be a list of 10^8 names."""
    lines = ["l0: &l0 [x]"] + [
        f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 10)}]" for k in range(1, 9)
    ]
    for key in ("names", "nc", "kpt_shape", "path", "train"):
        text = "\n".join(lines) + f"\n{key}: *l8\n"
        with pytest.raises(DataError) as caught:
            read(root, text + (TRAIN if key != "train" else "") + (NAMES if key != "names" else ""))
        assert len(str(caught.value)) < 600


def test_wrong_lists_and_bytes(root):
    (root / "list.txt").write_text("images/train/a.png\nimages/no.png\n")
    with pytest.raises(DataError, match=r"list\.txt:2 names images/no\.png, which is not there"):
        read(root, "train: list.txt\n" + NAMES)
    (root / "list.txt").write_text("\n")
    with pytest.raises(DataError, match=r"list\.txt is empty"):
        read(root, "train: list.txt\n" + NAMES)
    (root / "labels/train/a.txt").write_bytes(b"0 \xff")
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8 text \(byte 2\)"):
        read(root, TRAIN + NAMES)
    for label in root.glob("labels/**/*.txt"):
        label.unlink()
    with pytest.raises(DataError, match=r"none of 3 pictures has a label file; .*labels/train/a"):
        read(root, TRAIN + NAMES)


def read_pair(root: Path, names=()):
    return read_dataset(None, root / "images/train", root / "labels/train", "train", names=names)


def test_a_folder_of_labels_is_matched_by_name(root):
    dataset = read_pair(root, ("fig", "pear"))
    assert [len(sample) for sample in dataset.samples] == [2, 0, 1]
    assert "1 pictures have no label file" in dataset.notes[0]
    (root / "labels/train/classes.txt").write_text("Feige\nBirne\n")
    dataset = read_pair(root)
    assert dataset.class_names == ("Feige", "Birne")
    assert "class names are those of" in dataset.notes[0]


def test_a_folder_of_labels_needs_names_and_pictures(root):
    with pytest.raises(DataError, match=r"say what they are called by `names: \[cat, dog\]`"):
        read_pair(root)
    (root / "images/train/a.png").unlink()
    with pytest.raises(DataError, match=r"lacks the pictures of 1 files .*the first is .*a\.txt"):
        read_pair(root, ("fig", "pear"))


def test_our_own_description_takes_every_form(root):
    text = "train: {images: images/train, annotations: labels/train}\n"
    assert read(root, text + NAMES).class_names == ("fig", "pear")
    with pytest.raises(DataError, match="say what they are called"):
        read(root, text)
