"""`data check` tells what it found by its exit status, a table, a JSON file and a page."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from yolo_slim.cli import main
from yolo_slim.data.check.finding import KINDS


def run(command: str, capsys) -> tuple[int, str, str]:
    """Exit status, standard output in one line, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(ended.value.code or 0), " ".join(out.split()), err


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A sound set of two splits: train.json, val.json, set.yaml."""
    rng = np.random.default_rng(5)
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        entries, boxes = [], []
        for k in range(3):
            small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / split / f"{k}.png"), cv2.resize(small, (160, 120)))
            entries.append({"id": k, "file_name": f"{k}.png", "width": 160, "height": 120})
            boxes.append({"id": k, "image_id": k, "category_id": 1, "bbox": [9, 9, 50 + k, 60]})
        document = {"images": entries, "annotations": boxes,
                    "categories": [{"id": 1, "name": "fig"}]}  # fmt: skip
        (tmp_path / f"{split}.json").write_text(json.dumps(document))
    (tmp_path / "set.yaml").write_text(
        "train: {images: train, annotations: train.json}\n"
        "val: {images: val, annotations: val.json}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(place, split="train", **changes):
    document = json.loads((place / f"{split}.json").read_text())
    document["annotations"][1].update(changes)
    (place / f"{split}.json").write_text(json.dumps(document))


def test_names_that_yaml_reads_as_true_are_refused(place, capsys):
    with (place / "set.yaml").open("a") as file:
        file.write("names: [yes]\n")
    status, _, err = run("data check --data set.yaml", capsys)
    assert status == 2 and "put it in quotes" in " ".join(err.split())


def test_a_darknet_file_without_a_split_is_told(place, capsys):
    (place / "obj.data").write_text("classes=1\nnames=obj.names\n")
    status, _, err = run("data check --data obj.data", capsys)
    assert status == 2 and "obj.data has neither `train=` nor `valid=`" in " ".join(err.split())


def test_a_page_of_somebody_else_is_kept(place, capsys):
    (place / "site").mkdir()
    (place / "site" / "check.html").write_text("<p>dear")
    status, _, err = run("data check --data set.yaml --out site", capsys)
    assert status == 2 and "site/check.html exists and is no page of yolo_slim" in err
    assert (place / "site" / "check.html").read_text() == "<p>dear"


@pytest.mark.parametrize("name", ["0", "new"])
def test_json_is_not_put_among_the_annotations(place, name, capsys):
    shapes = '{"shapes": [], "imagePath": "0.png", "imageHeight": 120, "imageWidth": 160}'
    (place / "train" / "0.json").write_text(shapes)
    pair = "--images train --annotations train"
    status, _, err = run(f"data check {pair} --json train/{name}.json", capsys)
    assert status == 2 and f"train/{name}.json" in err
    assert (place / "train" / "0.json").read_text() == shapes
    assert not (place / "train" / "new.json").exists()


def test_names_from_a_file_do_not_steer_the_terminal(place, capsys):
    for split in ("train", "val"):
        document = json.loads((place / f"{split}.json").read_text())
        document["categories"] = [{"id": k, "name": f"\x1b[2J{k}"} for k in (1, 2)]
        (place / f"{split}.json").write_text(json.dumps(document))
    status, out, _ = run("data check --data set.yaml", capsys)
    assert status == 0 and "�[2J2" in out and "\x1b" not in out


def test_a_sound_set_is_status_0(place, capsys):
    status, out, err = run("data check --data set.yaml", capsys)
    assert (status, err) == (0, "")
    assert "0 faults, 0 warnings, 0 notes in 6 pictures with 6 boxes." in out
    assert "Findings" not in out


def test_warnings_are_status_0_too(place, capsys):
    spoil(place, bbox=[9, 9, 0, 60])
    status, out, _ = run("data check --data set.yaml", capsys)
    assert status == 0 and "flat box" in out and "1 warning," in out


def test_faults_are_status_1_and_all_are_named(place, capsys):
    (place / "train" / "0.png").unlink()
    (place / "train" / "2.png").unlink()
    cut = place / "val" / "1.png"
    cut.write_bytes(cut.read_bytes()[:200])
    spoil(place, bbox=[500, 500, 5, 5])
    command = "data check --data set.yaml --json found.json --out page --size 64"
    status, out, err = run(command, capsys)
    assert (status, err) == (1, "")
    assert "4 faults" in out and "box outside" in out
    document = json.loads((place / "found.json").read_text())
    assert document["faults"] == 4
    assert document["kinds"] == {"missing image": 2, "unreadable image": 1, "box outside": 1}
    told = {(f["kind"], f["split"], f["file"]) for f in document["findings"]}
    assert told == {
        ("missing image", "train", "0.png"),
        ("missing image", "train", "2.png"),
        ("unreadable image", "val", "1.png"),
        ("box outside", "train", "1.png"),
    }
    assert all(f["advice"] == KINDS[f["kind"]].advice for f in document["findings"])
    assert document["splits"]["train"]["classes"] == {"fig": 3}


def test_the_page_shows_the_findings_and_asks_nothing_of_a_network(place, capsys):
    spoil(place, bbox=[-30, 9, 80, 60])
    (place / "val" / "2.png").write_bytes((place / "train" / "2.png").read_bytes())
    assert run("data check --data set.yaml --out deep/page", capsys)[0] == 1
    page = (place / "deep" / "page" / "check.html").read_text()
    assert "leak" in page and "box over the border" in page
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    sources = re.findall(r'(?:src|href)="([^"]*)"', markup)
    assert len(sources) == 2 and all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert "default-src 'none'" in page
    assert [p.name for p in (place / "deep" / "page").iterdir()] == ["check.html"]


def test_one_split_by_folder_and_file(place, capsys):
    status, out, _ = run("data check --images val --annotations val.json", capsys)
    assert status == 0 and "in 3 pictures" in out


def test_the_size_decides_what_is_tiny(place, capsys):
    spoil(place, bbox=[9, 9, 5, 60])
    assert "tiny" not in run("data check --data set.yaml", capsys)[1]
    assert "tiny box" in run("data check --data set.yaml --size 32", capsys)[1]


CASES = {
    "no data": ("", "no data"),
    "missing description": ("--data none.yaml", "none.yaml cannot be read"),
    "no description": ("--data note.txt", "neither a .yaml"),
    "description of nothing": ("--data empty.yaml", "empty.yaml"),
    "description with a typo": ("--data typo.yaml", "trian"),
    "images alone": ("--images train", "--annotations"),
    "both": ("--data set.yaml --images train", "Both"),
    "missing folder": ("--images none --annotations train.json", "none is not a folder"),
    "missing annotations": ("--images train --annotations none.json", "none.json"),
    "no JSON": ("--images train --annotations note.json", "is not JSON"),
    "result file": ("--images train --annotations list.json", "holds a list"),
    "no images": ("--images train --annotations hollow.json", "0 images"),
    "size out of range": ("--data set.yaml --size 7", "--size"),
    "unknown resize": ("--data set.yaml --resize crop", "--resize"),
    "page over a file": ("--data set.yaml --out note.txt", "note.txt is a file"),
    "JSON over a folder": ("--data set.yaml --json train", "train is a folder"),
    "JSON over the annotations": (
        "--images train --annotations train.json --json train.json", "would replace"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_status_2_in_two_lines_and_leaves_nothing(case, place, capsys):
    (place / "note.txt").write_text("dear")
    (place / "note.json").write_text("dear")
    (place / "list.json").write_text("[]")
    (place / "empty.yaml").write_text("")
    (place / "typo.yaml").write_text("trian: {images: train, annotations: train.json}\n")
    hollow = {"images": [], "annotations": [], "categories": []}
    (place / "hollow.json").write_text(json.dumps(hollow))
    arguments, told = CASES[case]
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    status, _, err = run(f"data check {arguments}", capsys)
    assert status == 2 and told in err
    if err.startswith("error: "):  # else it is of the parser of arguments, in a box
        assert len(err.strip().splitlines()) <= 2
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
