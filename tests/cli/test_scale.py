import csv
import json
from pathlib import Path

import pytest

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import read_cfg, render, reward, scale, totals
from yolo_slim.cli import main
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

REPOSITORY = Path(__file__).resolve().parents[2]


def run(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    told = capsys.readouterr()
    assert caught.value.code == 0, told.err
    return told.out


@pytest.fixture
def place(tmp_path, monkeypatch):
    cfg = build("yolov3-nano", 2, 64)
    (tmp_path / "nano.cfg").write_text(render(cfg))
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "run" / "bundle")
    (tmp_path / "table.csv").write_text(
        "name,note,AP,macs\nlarge,slow,0.42,4000000000\nmiddle,good,0.41,1e9\nsmall,,0.38,5e8\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["nano.cfg", "run", "run/bundle"])
def test_scaled_cfg_and_its_numbers(place, capsys, model):
    told = run(capsys, f"scale {model} --phi 1.5 --out new/big.cfg --json big.json")
    before = read_cfg(place / "nano.cfg")
    after = scale(before, 1.5)
    assert read_cfg(place / "new" / "big.cfg") == after
    assert "start at random" in told
    assert "depth ×1.315, width ×1.154, size ×1.233" in told
    document = json.loads((place / "big.json").read_text())
    assert document["factors"] == pytest.approx(
        {"depth": 1.2**1.5, "width": 1.1**1.5, "size": 1.15**1.5}
    )
    for name, cfg in (("before", before), ("after", after)):
        assert document[name]["parameters"] == totals(cfg).parameters
        assert document[name]["macs"] == totals(cfg).macs


def test_search_lists_the_paper_with_exact_macs(place, capsys):
    told = run(capsys, "scale nano.cfg --search --json grid.json")
    rows = json.loads((place / "grid.json").read_text())["candidates"]
    paper = next(r for r in rows if (r["alpha"], r["beta"], r["gamma"]) == (1.2, 1.1, 1.15))
    assert paper["macs"] == totals(scale(read_cfg(place / "nano.cfg"), 1)).macs
    assert f"{paper['macs']:,}" in told
    assert "latency_ms" not in paper


def test_search_times_candidates(place, capsys):
    run(capsys, "scale nano.cfg --search --step 0.4 --tolerance 0.05 --latency --json grid.json")
    rows = json.loads((place / "grid.json").read_text())["candidates"]
    assert rows and all(row["latency_ms"] > 0 for row in rows)


def test_rank_by_hand(place, capsys):
    """0.42 * 4^-0.07 = 0.3812, 0.41, 0.38 * 0.5^-0.07 = 0.3989."""
    told = run(capsys, "scale --rank table.csv --target-macs 1e9 --json rank.json")
    rows = json.loads((place / "rank.json").read_text())
    assert [row["name"] for row in rows] == ["middle", "small", "large"]
    assert [row["reward"] for row in rows] == pytest.approx([0.41, 0.3989, 0.3812], abs=5e-5)
    assert rows[0]["note"] == "good" and rows[2]["macs"] == 4_000_000_000
    assert rows[1]["reward"] == reward(0.38, 5e8, 1e9)
    assert told.index("middle") < told.index("small") < told.index("large")
    run(capsys, "scale --rank table.csv --target-macs 1e9 --w 0 --json rank.json")
    assert [r["name"] for r in json.loads((place / "rank.json").read_text())] == [
        "large", "middle", "small",
    ]  # fmt: skip


BAD_TABLES = {
    "no AP": ("name,macs\na,1\n", "no column AP"),
    "no number": ("name,AP,macs\na,high,1\n", "bad.csv:2: AP=high"),
    "nan": ("name,AP,macs\na,.1,5\nb,nan,1\n", "bad.csv:3: AP=nan"),
    "no MACs": ("name,AP,macs\na,0.1,0\n", "macs=0"),
    "short line": ("name,AP,macs\na,0.1\n", "expected 3 values"),
    "long line": ("name,AP,macs\na,0.1,1,2\n", "expected 3 values"),
    "empty": ("", "no column"),
    "no rows": ("name,AP,macs\n", "no candidates"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables(name, place, capsys):
    text, told = BAD_TABLES[name]
    (place / "bad.csv").write_text(text)
    assert told in refused(capsys, "scale --rank bad.csv --target-macs 1e9")


BAD = {
    "nothing to do": ("scale nano.cfg", "exactly one of"),
    "two things to do": ("scale nano.cfg --phi 1 --search", "exactly one of"),
    "no model": ("scale --phi 1", "no model"),
    "no such model": ("scale yolov3-tinny --phi 1 --out x.cfg", "yolov3-tiny"),
    "no such cfg": ("scale none.cfg --phi 1 --out x.cfg", "cannot be read"),
    "an onnx": ("scale x.onnx --phi 1", "is an ONNX file"),
    "far too large": ("scale yolov3 --phi 18 --out x.cfg", "refused"),
    "not a cfg": ("scale nano.cfg --phi 1 --out x.txt", "ends in .cfg"),
    "out of a search": ("scale nano.cfg --search --out x.cfg", "--phi alone"),
    "a base of a search": ("scale nano.cfg --search --alpha 1.2", "--alpha goes with --phi alone"),
    "tolerance of one": ("scale nano.cfg --phi 1 --tolerance 0.5", "--search alone"),
    "threads of one": ("scale nano.cfg --phi 1 --threads 2", "--threads goes with --search alone"),
    "threads untimed": ("scale nano.cfg --search --threads 2", "--threads goes with --latency"),
    "exponent of one": ("scale nano.cfg --phi 1 --w -0.1", "--w goes with --rank alone"),
    "empty grid": ("scale nano.cfg --search --step 1 --phi-product 2.5 --tolerance 0", "no alpha"),
    "no target": ("scale --rank table.csv", "--target-macs"),
    "model beside a table": ("scale nano.cfg --rank table.csv --target-macs 1", "leave out"),
    "no such table": ("scale --rank none.csv --target-macs 1", "none.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, place, capsys):
    command, told = BAD[name]
    before = sorted(place.rglob("*"))
    assert told in refused(capsys, command)
    assert sorted(place.rglob("*")) == before


def refused(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    message = capsys.readouterr().err
    assert caught.value.code == 2, message
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


def test_the_json_of_a_ranking_can_be_ranked_again(place, capsys):
    run(capsys, "scale --rank table.csv --target-macs 1e9 --json rank.json")
    rows = json.loads((place / "rank.json").read_text())
    with (place / "again.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    run(capsys, "scale --rank again.csv --target-macs 1e9 --json again.json")
    assert json.loads((place / "again.json").read_text()) == rows
