"""An engine is read with the file beside it, or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from yolo_slim.errors import InputError
from yolo_slim.trt.engine_file import (
    EngineRecord,
    read_plan,
    read_record,
    record_path,
    require_own_record,
    sha256_of,
    write_engine,
)

PLAN = bytes(range(256)) * 20
RECORD = EngineRecord(
    sha256_of(PLAN), len(PLAN), "int8", "rtx", "1.7.1", "8.6", (1, 2, 4), ("head_0", "head_1"),
    {"yolo_slim.cfg": "[net]\nwidth=32\n", "yolo_slim.names": "große Katze"},
)  # fmt: skip


@pytest.fixture
def engine(tmp_path):
    write_engine(tmp_path / "a.engine", PLAN, RECORD)
    return tmp_path / "a.engine"


def test_what_was_written_is_read(engine):
    assert engine.read_bytes() == PLAN  # the plan alone: any program with TensorRT can load it
    assert read_record(engine) == RECORD
    assert read_plan(engine, RECORD) == PLAN
    assert {p.name for p in engine.parent.iterdir()} == {"a.engine", "a.engine.json"}


@pytest.mark.parametrize(
    "plan", [b"", PLAN[:-1], PLAN + b"x", b"x" + PLAN[1:]], ids=["empty", "cut", "longer", "other"]
)
def test_another_plan_is_refused(plan, engine):
    engine.write_bytes(plan)
    with pytest.raises(InputError, match=r"is not the engine that a\.engine\.json describes"):
        read_plan(engine, read_record(engine))


def test_an_engine_alone_is_refused(engine):
    record_path(engine).unlink()
    with pytest.raises(InputError, match=r"a\.engine\.json is not beside it"):
        read_record(engine)
    engine.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_record(engine)


CHANGES = {
    "no JSON": lambda d: "{",
    "another document": lambda d: json.dumps({"AP": 0.3}),
    "a list": lambda d: "[]",
    "no text": lambda d: "\udcff",
    "nothing": lambda d: "",
    "a missing key": lambda d: json.dumps({k: v for k, v in d.items() if k != "sha256"}),
    "a later format": lambda d: json.dumps({**d, "format": "yolo_slim engine 2"}),
    "a flavor that is none": lambda d: json.dumps({**d, "flavor": "vanilla"}),
    "a batch of none": lambda d: json.dumps({**d, "batch": [0, 1, 1]}),
    "a batch that shrinks": lambda d: json.dumps({**d, "batch": [2, 1, 1]}),
    "two numbers": lambda d: json.dumps({**d, "batch": [1, 1]}),
    "no outputs": lambda d: json.dumps({**d, "outputs": []}),
    "metadata that is none": lambda d: json.dumps({**d, "metadata": "x"}),
    "deep": lambda d: "[" * 100_000,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_lies_beside_it_must_be_ours(change, engine):
    text = CHANGES[change](asdict(RECORD))
    record_path(engine).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="not what export_trt writes"):
        read_record(engine)
    with pytest.raises(InputError, match="nothing was written"):
        require_own_record(engine)


def test_its_own_record_may_be_replaced(engine, tmp_path):
    require_own_record(engine)
    require_own_record(tmp_path / "new.engine")
    write_engine(engine, b"other", replace(RECORD, plan_bytes=5, sha256=sha256_of(b"other")))
    assert read_plan(engine, read_record(engine)) == b"other"


def test_a_record_of_no_sensible_size_is_not_read(engine, monkeypatch):
    monkeypatch.setattr("yolo_slim.trt.engine_file._MOST_RECORD_BYTES", 10)
    with pytest.raises(InputError, match="not what export_trt writes"):
        read_record(engine)
