"""yolo-slim check_onnx: what a person reads, what a program reads, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import status
from qdq_cases import CASES

from yolo_slim.export.tensorrt_rules.rules import RULES


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    for name, case in {
        "good": "int8 weights behind a dq", "poor": "two maps joined on two scales",
        "bad": "float32 scales in a float16 graph", "odd": "a tensor that nobody makes",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.onnx").write_bytes(CASES[case].draw().SerializeToString())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected", "verdict"),
    [("good", 0, "good.onnx: TensorRT-ready. 1 of 2 convolutions in INT8, 96.0% of their MACs."),
     ("poor", 0, "poor.onnx: TensorRT-ready, 1 warning. 3 of 4 convolutions in INT8"),
     ("bad", 1, "bad.onnx: not TensorRT-ready: 3 faults."),
     ("odd", 1, "odd.onnx: not TensorRT-ready: 1 fault.")],
)  # fmt: skip
def test_the_last_line_says_whether_it_is_ready(name, expected, verdict, place, capsys):
    assert status(f"check_onnx {name}.onnx --json told.json") == expected
    out = " ".join(capsys.readouterr().out.split())
    assert verdict in out
    told = json.loads((place / "told.json").read_text())
    assert told["tensorrt_ready"] == (expected == 0)
    assert told["faults"] == sum(f["severity"] == "fault" for f in told["findings"])
    assert sum(told["rules"].values()) == len(told["findings"])
    for finding in told["findings"]:
        assert finding.keys() == {"rule", "severity", "node", "message", "advice"}
        assert RULES[finding["rule"]].severity == finding["severity"]


def test_the_table_groups_by_rule_and_all_names_every_node(place, capsys):
    model = CASES["float32 scales in a float16 graph"].draw()
    for number in range(4):
        head = model.graph.node.add()
        head.CopyFrom(model.graph.node[-2])
        head.name = head.output[0] = f"head{number}"
    (place / "many.onnx").write_bytes(model.SerializeToString())
    assert status("check_onnx many.onnx") == 1
    few = capsys.readouterr().out
    assert status("check_onnx many.onnx --all") == 1
    every = capsys.readouterr().out
    assert "head3" not in few
    assert all(f"head{number}" in every for number in range(4))
    # A narrow terminal breaks it over lines.
    assert all(word in few for word in RULES["scale-type"].advice.split())


def test_names_do_not_steer_the_terminal(place, capsys):
    raw = CASES["a zero point of 3"].draw().SerializeToString()
    (place / "a.onnx").write_bytes(raw.replace(b"in.q", b"\x1b[2J"))
    assert status("check_onnx a.onnx") == 1
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "[2J" in out


def test_the_model_is_not_replaced_by_the_result(place):
    before = (place / "good.onnx").read_bytes()
    assert status("check_onnx good.onnx --json good.onnx") == 2
    assert (place / "good.onnx").read_bytes() == before
