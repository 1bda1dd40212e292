"""Whatever way a data set is named, it is found or the wrong word is."""

from __future__ import annotations

import pytest
from made_sets import picture, voc_file, voc_object

from yolo_slim.data.describe import read_dataset
from yolo_slim.errors import DataError

GOOD = "train: {images: images, annotations: set.json}\n"


@pytest.fixture
def describe(document, write_set, tmp_path):
    """Writes a description beside a good set and reads one split of it."""
    write_set(document)

    def read(text: str, split: str = "train"):
        (tmp_path / "set.yaml").write_text(text)
        return read_dataset(tmp_path / "set.yaml", None, None, split)

    return read


def test_paths_start_at_the_description(describe):
    assert len(describe(GOOD)) == 2


def test_home_and_environment_are_expanded(describe, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", str(tmp_path))
    assert len(describe("val: {images: ~/images, annotations: $WHERE/set.json}", "val")) == 2


def test_names_replace_those_of_the_annotations(describe):
    assert describe(GOOD + "names: [Feige, 5]").class_names == ("Feige", "5")


def test_a_pair_needs_no_description(document, write_set):
    images, annotations = write_set(document)
    assert len(read_dataset(None, images, annotations, "val")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no keys"),
        ("just text", "has no keys"),
        ("a: [1\nb: }", r"set\.yaml:2 is not YAML"),
        ("!!python/object/apply:os.getcwd []", "is not YAML"),
        ("trian: {images: images, annotations: set.json}", "`trian`. Did you mean `train`"),
        ("zzz: 1", "`zzz`. Expected train, val, names"),
        ("val: {images: images, annotations: set.json}", "has no `train`"),
        ("train: images", "has neither `names` nor `nc`"),
        ("train: 7", "`train` is 7, expected images and annotations"),
        ("train: {images: images, anotations: set.json}", "Did you mean `annotations`"),
        ("train: {images: images}", "`annotations` is None, expected a path"),
        ("train: {images: none, annotations: set.json}", "none is not a folder"),
        ("train: {images: ~nobody_here/x, annotations: set.json}", "no such home folder"),
        (GOOD + "names: [a]", "has 1 names, .* has 2 categories"),
        (GOOD + "names: [yes, no]", "put it in quotes"),
        (GOOD + "names: a", "`names` is 'a', expected a list"),
    ],
)
def test_a_wrong_description_is_a_data_error(describe, text, message):
    with pytest.raises(DataError, match=message):
        describe(text)


def test_the_classes_of_voc_are_those_of_both_splits(tmp_path):
    """A class that one split lacks moves no other: what `train` learns, `evaluate` asks for."""
    for split, name in (("train", "cat"), ("val", "bird")):
        picture(tmp_path / split / f"{name}.png")
        voc_file(tmp_path / f"{split}_xml" / f"{name}.xml", voc_object(name, (1, 2, 11, 22)))
    text = "".join(f"{s}: {{images: {s}, annotations: {s}_xml}}\n" for s in ("train", "val"))
    (tmp_path / "set.yaml").write_text(text)
    training, validation = (
        read_dataset(tmp_path / "set.yaml", None, None, split) for split in ("train", "val")
    )
    assert training.class_names == validation.class_names == ("bird", "cat")
    assert training.samples[0].class_ids.tolist() == [1]
    (tmp_path / "set.yaml").write_text(text + "names: {0: cat, 1: bird}")
    named = read_dataset(tmp_path / "set.yaml", None, None, "train")
    assert named.class_names == ("cat", "bird")
    assert named.samples[0].class_ids.tolist() == [0]
    (tmp_path / "val_xml/a.json").write_text("{}")
    for path in (tmp_path / "val_xml").glob("*.xml"):
        path.unlink()
    (tmp_path / "set.yaml").write_text(text)
    with pytest.raises(DataError, match="one split is voc, another labelme"):
        read_dataset(tmp_path / "set.yaml", None, None, "train")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("a.xml", "Name the folder of all of them"), ("data.yaml", "Name it by --data")],
)
def test_a_file_that_is_no_annotations_of_a_folder(tmp_path, name, hint):
    (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=hint):
        read_dataset(None, tmp_path, tmp_path / name, "train")


def test_wrong_combinations_of_options(tmp_path):
    yaml_file = tmp_path / "a.yaml"
    for options, message in [
        ((yaml_file, tmp_path, None), "expected one of the two"),
        ((None, tmp_path, None), "one is given"),
        ((None, None, None), "neither is given"),
        ((yaml_file, None, None), "cannot be read"),
        ((tmp_path / "a.toml", None, None), "neither a .yaml description nor"),
        ((tmp_path / "a.data", None, None), "cannot be read"),
    ]:
        with pytest.raises(DataError, match=message):
            read_dataset(*options, "train")
    with pytest.raises(ValueError, match="'test'"):
        read_dataset(yaml_file, None, None, "test")
