"""VOC's XML: boxes as edges, difficult as crowd, and faults by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sets import SIZE, assert_same_boxes, named_boxes, picture, voc_file, voc_object

from yolo_slim.data.coco import read_coco
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.xml_tree import read_xml
from yolo_slim.errors import DataError

CAT = voc_object("cat", (1, 2, 11, 22))


@pytest.fixture
def read(tmp_path: Path):
    """Reads tmp_path/images with tmp_path/xml, which the test has written."""
    picture(tmp_path / "images" / "a.png")

    def reader(names=()):
        return read_dataset(None, tmp_path / "images", tmp_path / "xml", "train", names=names)

    return reader


def test_a_box_is_its_edges_and_difficult_is_crowd(read, tmp_path):
    voc_file(
        tmp_path / "xml/a.xml",
        voc_object("dog", (1.5, "2", "10.25", 20), "<difficult>1</difficult>"),
        voc_object("cat", (-3, 0, 50, 30), "<truncated>1</truncated><difficult>0</difficult>"),
    )
    dataset = read()
    sample = dataset.samples[0]
    assert dataset.class_names == ("cat", "dog") and dataset.category_ids == (1, 2)
    np.testing.assert_array_equal(sample.boxes_xyxy, [[1.5, 2, 10.25, 20], [-3, 0, 50, 30]])
    np.testing.assert_array_equal(sample.class_ids, [1, 0])
    np.testing.assert_array_equal(sample.crowd, [True, False])
    assert "sorted order: cat, dog" in dataset.notes[0]


def test_parts_of_an_object_are_no_objects(read, tmp_path):
    part = "<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part>"
    voc_file(tmp_path / "xml/a.xml", voc_object("cat", (1, 2, 11, 22), part))
    assert named_boxes(read().samples[0], ("cat",)) == [("cat", 1, 2, 11, 22)]


def test_flat_boxes_are_left_out_and_counted(read, tmp_path):
    flat = [voc_object("cat", box) for box in ((5, 5, 5, 9), (9, 5, 3, 9), (5, 5, 9, 5))]
    voc_file(tmp_path / "xml/a.xml", CAT, *flat)
    dataset = read()
    assert len(dataset.samples[0]) == 1
    assert "3 boxes without width or height were left out" in dataset.notes


@pytest.mark.parametrize("head", ["", "<size><width>0</width><height>0</height></size>",
                                  "<size><width>?</width></size>"])  # fmt: skip
def test_a_missing_size_is_that_of_the_picture(read, tmp_path, head):
    voc_file(tmp_path / "xml/a.xml", CAT, head=head)
    sample = read().samples[0]
    assert (sample.width_px, sample.height_px) == (40, 30)


@pytest.mark.parametrize(
    ("xml", "head", "found"),
    [
        ("a.xml", r"<filename>C:\old\other.bmp</filename>", "a.png"),
        ("renamed.xml", "<filename>a.jpg</filename>", "a.png"),
        ("renamed.xml", "<filename>/home/me/a</filename>", "a.png"),
        ("night/b c.xml", "<filename>a.png</filename>", "night/b c.png"),
    ],
)
def test_the_picture_is_found_by_the_name_of_the_xml_else_by_what_it_says(
    read, tmp_path, xml, head, found
):
    picture(tmp_path / "images/night/b c.png")
    voc_file(tmp_path / "xml" / xml, CAT, head=head)
    assert read().samples[0].path == tmp_path / "images" / found


def test_of_two_pictures_of_a_name_the_file_tells_which(read, tmp_path):
    picture(tmp_path / "images/a.jpg")
    voc_file(tmp_path / "xml/a.xml", CAT, head="<filename>a.jpg</filename>")
    assert read().samples[0].path.name == "a.jpg"
    voc_file(tmp_path / "xml/a.xml", CAT)
    with pytest.raises(DataError, match=r"has a\.jpg and a\.png: one of them"):
        read()


def test_pictures_without_xml_are_left_out_and_counted(read, tmp_path):
    picture(tmp_path / "images/b.png")
    voc_file(tmp_path / "xml/a.xml", CAT)
    dataset = read()
    assert len(dataset) == 1 and "1 pictures without annotations were left out" in dataset.notes


def test_blanks_in_the_names_of_a_description_do_not_count(tmp_path):
    picture(tmp_path / "pictures/a.png")
    voc_file(tmp_path / "xml/a.xml", voc_object("traffic  light", (1, 2, 11, 22)))
    text = 'train: {images: pictures, annotations: xml}\nnames: ["traffic  light"]\n'
    (tmp_path / "set.yaml").write_text(text)
    assert read_dataset(tmp_path / "set.yaml", None, None, "train").class_names == (
        "traffic light",
    )


def test_names_set_the_order_and_forgive_case_and_blanks(read, tmp_path):
    voc_file(tmp_path / "xml/a.xml", CAT, voc_object(" Blue\n  Dog ", (1, 2, 3, 4)))
    dataset = read(("mouse", "Cat", "Blue Dog"))
    np.testing.assert_array_equal(dataset.samples[0].class_ids, [1, 2])
    assert dataset.notes == ("1 boxes called cat count as Cat",)
    with pytest.raises(DataError, match=r"a\.xml:3 has class 'cat', which is not among the names"):
        read(("mouse", "Blue Dog"))
    with pytest.raises(DataError, match="'cat', which is not among"):
        read(("Cat", "CAT", "Blue Dog"))  # which of the two?


def test_names_that_differ_by_case_alone_are_told(read, tmp_path):
    voc_file(tmp_path / "xml/a.xml", CAT, voc_object("CAT", (1, 2, 3, 4)))
    dataset = read()
    assert dataset.class_names == ("CAT", "cat")
    assert any("differ by case alone" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        *((encoding, "Kühe") for encoding in ("utf-8", "utf-16", "iso-8859-1", "windows-1252")),
        *((encoding, "人") for encoding in ("GB2312", "gbk", "big5", "Shift_JIS")),
    ],
)
def test_any_declared_encoding_is_read(tmp_path, encoding, name):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    text = f"{head}<annotation><name>{name}</name></annotation>"
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    assert read_xml(tmp_path / "a.xml").text_of("name") == name


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOC2007 with three pictures, of which two are in the image set `train`."""
    root = tmp_path / "VOC2007"
    for name in ("000001", "000002", "000003"):
        picture(root / "JPEGImages" / f"{name}.jpg")
        voc_file(root / "Annotations" / f"{name}.xml", CAT)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("000003\n000001\n\n")
    return root


def test_an_image_set_of_the_devkit_chooses_and_orders(devkit):
    def read():
        return read_dataset(
            None, devkit / "JPEGImages", devkit / "ImageSets/Main/train.txt", "train"
        )

    dataset = read()
    assert [sample.path.stem for sample in dataset.samples] == ["000003", "000001"]
    assert dataset.notes == ()  # the third picture is not missed
    for text, message in [
        ("000009\n", r"train\.txt:1 names `000009`, but .*000009\.xml is not there"),
        ("000001 -1\n", "the list of one class"),
        ("000001\n000001\n", r"train\.txt:2 names `000001` a second time"),
        ("\n", "is empty"),
    ]:
        (devkit / "ImageSets/Main/train.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            read()


def test_a_text_file_elsewhere_is_no_image_set(devkit):
    (devkit / "list.txt").write_text("000001\n")
    with pytest.raises(DataError, match="is no image set of a VOC devkit"):
        read_dataset(None, devkit / "JPEGImages", devkit / "list.txt", "train")


BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n<annotation>&b;</annotation>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotation>&a;</annotation>'
BAD = [
    ("", r"a\.xml:1 is not XML: no element found"),
    ("<annotation>\n<object>\n</annotation>", r"a\.xml:3 is not XML: mismatched tag"),
    ("{}", r"a\.xml:1 is not XML"),
    ("<html></html>", r"a\.xml:1 opens with <html>, expected <annotation>"),
    (BOMB, r"a\.xml:1 declares the entity `a`"),
    (EXTERNAL, r"a\.xml:1 declares the entity `a`"),
    ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is not XML: unknown encoding"),
    ('<?xml version="1.0" encoding="base64"?><annotation/>', "is not XML: unknown encoding"),
    (b'<?xml version="1.0" encoding="GB2312"?><annotation>\xff</annotation>', "is not GB2312, as"),
    (b"<annotation>\n<object><name>\xff</name></object></annotation>", r"a\.xml:2 is not XML"),
    (voc_object("", (1, 2, 3, 4)), r"a\.xml:3 has an <object> without a <name>"),
    ("<object><name>cat</name></object>", r"a\.xml:3 has an <object> without a <bndbox>: cat"),
    ("<object><name>cat</name>\n<bndbox/></object>", r"a\.xml:4 has a <bndbox> without <xmin>"),
    (voc_object("cat", (1, "two", 3, 4)), r"a\.xml:3 has <ymin>two</ymin>, expected a number"),
    (voc_object("cat", (1, 2, "nan", 4)), "<xmax>nan</xmax>"),
    (voc_object("cat", (1, 2, 3, "1e12")), "<ymax>1e12</ymax>"),
    (voc_object("cat", (1, 2, 3, "-inf")), "<ymax>-inf</ymax>"),
    (voc_object("cat", (1, 2, 3, 4), "<difficult>maybe</difficult>"), "expected 0 or 1"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_breaks_the_format_is_a_data_error_with_its_line(read, tmp_path, text, message):
    file = voc_file(tmp_path / "xml/a.xml", text if isinstance(text, str) else "")
    if isinstance(text, bytes):
        file.write_bytes(text)
    elif not text.startswith("<object"):
        file.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read()
    assert str(caught.value).count("\n") <= 1


def test_absent_folders_and_pictures(read, tmp_path):
    with pytest.raises(DataError, match="xml cannot be read: No such file"):
        read()
    (tmp_path / "xml").mkdir()
    with pytest.raises(DataError, match="holds no annotations: expected a COCO"):
        read()
    voc_file(tmp_path / "xml/b.xml", CAT)
    with pytest.raises(DataError, match=r"lacks the pictures of 1 files .*first is .*b\.xml"):
        read()
    voc_file(tmp_path / "xml/a.xml", CAT)
    (tmp_path / "xml/b.xml").unlink()
    voc_file(tmp_path / "xml/c.xml", CAT, head="<filename>a.png</filename>")
    with pytest.raises(DataError, match=r"a\.xml and .*c\.xml both belong to .*a\.png"):
        read()
    (tmp_path / "xml/x.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 2 \.xml and 1 \.json files: expected one kind"):
        read()
    with pytest.raises(DataError, match="nowhere is not a folder"):
        (tmp_path / "xml/x.json").unlink()
        read_dataset(None, tmp_path / "nowhere", tmp_path / "xml", "train")


@pytest.mark.parametrize(("part", "n_boxes", "n_images"), [("train", 3951, 300), ("test", 907, 60)])
def test_the_cells_of_the_xml_are_those_of_the_json(shared_data, part, n_boxes, n_images):
    cbc = shared_data / "cbc"
    json = read_coco(cbc / part, cbc / "annotations" / f"{part}.json")
    xml = read_dataset(None, cbc / part, cbc / "voc" / part, "train", names=json.class_names)
    assert len(xml) == n_images and sum(map(len, xml.samples)) == n_boxes
    assert_same_boxes(json, xml, atol_px=0, ids=True)
    assert xml.notes == ("1 boxes without width or height were left out",)


def test_lines_are_those_of_the_file(tmp_path):
    voc_file(tmp_path / "a.xml", CAT, CAT)
    root = read_xml(tmp_path / "a.xml")
    assert [found.line for found in root.all("object")] == [3, 4]
    assert root.child("size") is not None and SIZE in (tmp_path / "a.xml").read_text()
