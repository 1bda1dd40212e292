"""What is no whole ONNX model is refused in a line, and what lies beside it is read."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from qdq_cases import CASES
from qdq_graphs import Drawn

from yolo_slim.errors import InputError
from yolo_slim.export.tensorrt_rules import check
from yolo_slim.export.tensorrt_rules.finding import Finding
from yolo_slim.export.tensorrt_rules.read import MAX_BYTES, read_model
from yolo_slim.export.tensorrt_rules.run import findings, view_of
from yolo_slim.export.tensorrt_rules.summary import int8_share

GOOD = "int8 weights behind a dq"


@pytest.fixture
def model() -> onnx.ModelProto:
    return CASES[GOOD].draw()


def written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def test_a_model_is_read_as_it_was_written(model, tmp_path):
    path = written(tmp_path / "a.onnx", model.SerializeToString())
    assert read_model(path) == model
    elsewhere = written(tmp_path / "a.model", model.SerializeToString())  # whatever its name
    assert read_model(elsewhere) == model


@pytest.mark.parametrize(
    ("raw", "told"),
    [(b"", "is empty"), (b"no onnx at all", "no ONNX model"), (b"\x08\x0a" * 40, "no graph"),
     (b'{"ir_version": 8}', "no ONNX model"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "no ONNX model"),
     (b"\x00" * 100, "no ONNX model")],
)  # fmt: skip
def test_what_is_no_model_is_refused(raw, told, tmp_path):
    with pytest.raises(InputError, match=rf"a\.onnx.*{told}"):
        read_model(written(tmp_path / "a.onnx", raw))


def test_a_model_cut_short_anywhere_is_refused(model, tmp_path):
    raw = model.SerializeToString()
    lengths = {*range(60), *range(len(raw) - 60, len(raw)), *range(60, len(raw), 97)}
    for length in lengths:
        with pytest.raises(InputError, match=r"a\.onnx"):
            read_model(written(tmp_path / "a.onnx", raw[:length]))


def test_folders_devices_and_absent_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_model(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(InputError, match="is no file"):
            read_model(Path("/dev/zero"))
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "none.onnx")


def test_more_than_2_gb_are_not_read(tmp_path):
    path = tmp_path / "a.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(InputError, match=r"2\.1 GB; files over 2 GB are not read"):
        read_model(path)


# --- numbers in other files -----------------------------------------------------------------------


@pytest.fixture
def parted(model, tmp_path) -> Path:
    """A model whose numbers lie in a.data."""
    path = tmp_path / "a.onnx"
    onnx.save(model, path, save_as_external_data=True, location="a.data", size_threshold=0)
    return path


def test_numbers_beside_the_model_are_read(parted, model):
    assert check(read_model(parted)) == check(CASES[GOOD].draw())
    assert not [t for t in read_model(parted).graph.initializer if t.data_location]


def test_absent_and_short_numbers_are_refused(parted):
    data = parted.with_name("a.data")
    raw = data.read_bytes()
    data.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match=r"lie in 'a\.data', which is cut short at"):
        read_model(parted)
    data.unlink()
    with pytest.raises(InputError, match=r"lie in 'a\.data', which is absent"):
        read_model(parted)


def test_numbers_of_2_gb_are_not_read(parted):
    os.truncate(parted.with_name("a.data"), MAX_BYTES + 1)
    raw = onnx.ModelProto.FromString(parted.read_bytes())
    for entry in raw.graph.initializer[0].external_data:
        if entry.key == "length":
            entry.value = str(MAX_BYTES)
    with pytest.raises(InputError, match="with its external data; files over 2 GB"):
        read_model(written(parted, raw.SerializeToString()))


@pytest.mark.parametrize("key", ["offset", "length"])
def test_a_place_of_thousands_of_digits_is_refused(key, parted):
    model = onnx.ModelProto.FromString(parted.read_bytes())
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = "9" * 5000
    with pytest.raises(InputError, match="which is cut short at"):
        read_model(written(parted, model.SerializeToString()))


@pytest.mark.parametrize("place", ["../secret", "/etc/hostname", "", ".", "a\0b", "link"])
def test_no_file_of_another_folder_is_opened(place, parted, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    elsewhere.write_bytes(bytes(9999))
    parted.with_name("link").symlink_to(elsewhere)
    model = onnx.ModelProto.FromString(parted.read_bytes())
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = place
    with pytest.raises(InputError, match="which is not in its folder"):
        read_model(written(parted, model.SerializeToString()))


# --- whatever comes -------------------------------------------------------------------------------


def looked_at(model: onnx.ModelProto) -> list[Finding]:
    view = view_of(model)
    int8_share(view)
    return findings(view)


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_are_refused_or_looked_at(seed, tmp_path):
    draw = random.Random(seed)
    raws = [case.draw().SerializeToString() for case in CASES.values()]
    refused = 0
    for _ in range(25):
        raw = bytearray(draw.choice(raws))
        for _ in range(draw.choice([1, 1, 2, 8])):
            place = draw.randrange(len(raw))
            noise = bytes(draw.randrange(256) for _ in range(draw.choice([0, 1, 4])))
            raw[place : place + draw.choice([0, 1, 4])] = noise
        try:
            looked_at(read_model(written(tmp_path / "a.onnx", bytes(raw))))
        except InputError:
            refused += 1
    assert 0 < refused < 25


def changed(model: onnx.ModelProto, draw: random.Random) -> None:
    """One thing of the graph made wrong: a link, an operator, a shape, a type, an order."""
    graph = model.graph
    node, stored = draw.choice(graph.node), draw.choice(graph.initializer)
    names = [name for other in graph.node for name in (*other.input, *other.output)]
    operators = [
        "Conv", "Gemm", "Concat", "Transpose", "Reshape", "Clip", "TopK", "If", "Loop", "Softmax",
        "NonMaxSuppression", "QuantizeLinear", "DequantizeLinear", "Constant",
    ]  # fmt: skip
    match draw.randrange(9):
        case 0 if node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        case 1:
            node.output[0] = draw.choice(names)
        case 2:
            del node.input[draw.randrange(len(node.input) + 1) :]
        case 3:
            del node.output[:]
            node.output.append(draw.choice(names))
        case 4:
            node.op_type = draw.choice(operators)
        case 5:
            stored.dims[:] = [draw.choice([0, 1, -1, 3, 1 << 62]) for _ in range(draw.randrange(5))]
        case 6:
            stored.data_type = draw.randrange(40)
        case 7 if node.attribute:
            draw.choice(node.attribute).i = draw.choice([-9, 0, 5, 1 << 62])
        case _:
            model.opset_import[0].version = draw.choice([-1, 0, 9, 18, 23, 1 << 40])


@pytest.mark.parametrize("seed", range(4))
def test_changed_graphs_are_looked_at(seed):
    draw = random.Random(seed)
    models = [case.draw() for case in CASES.values()]
    for _ in range(25):
        model = onnx.ModelProto()
        model.CopyFrom(draw.choice(models))
        for _ in range(draw.choice([1, 1, 2, 6])):
            changed(model, draw)
        looked_at(model)


def test_circles_are_looked_at():
    draw = Drawn()
    draw.node("Transpose", ["there"], "here")
    draw.node("Transpose", ["here"], "there")
    step = draw.node("Identity", ["step"], "step")  # its own source
    zero = draw.store("zero", 0, np.int8)
    x = draw.node("DequantizeLinear", ["there", step, zero], "dq")
    y = draw.conv("there", "last", weight=draw.weight("w", (16, 16, 3, 3)))
    z = draw.conv(x, weight="here")
    assert "invalid-onnx" in {finding.kind for finding in looked_at(draw.model(y, z))}


def test_names_that_are_no_text_are_looked_at():
    raw = CASES[GOOD].draw().SerializeToString().replace(b"leaky", b"l\xff\xfeky")
    assert looked_at(onnx.ModelProto.FromString(raw))


def test_weights_that_do_not_fill_their_shape_are_told():
    model = CASES[GOOD].draw()
    stored = next(t for t in model.graph.initializer if t.name == "conv.w.steps")
    assert stored.data_type == TensorProto.INT8
    stored.raw_data = stored.raw_data[:-1]
    assert "invalid-onnx" in {finding.kind for finding in looked_at(model)}


def test_the_model_is_not_changed():
    for case in CASES.values():
        model = case.draw()
        before = model.SerializeToString(deterministic=True)
        check(model)
        assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("made", [64, 512])
def test_large_weights_make_no_difference(made):
    """They are left out of what shapes are asked of."""
    draw = Drawn()
    weight = draw.weight("w", (made, 16, 8, 8), axis=1)
    y = draw.conv(draw.qdq("x", "in"), made=made, size=8, weight=weight)
    model = draw.model(draw.float_conv(y, read=made))
    assert (len(model.SerializeToString()) > 1 << 18) == (made == 512)
    told = [(finding.kind, finding.node) for finding in looked_at(model)]
    assert told == [("weight-axis", "w.dq"), ("float32-rest", "")]
    assert int8_share(view_of(model)).macs_share == pytest.approx(16 * 64 / (16 * 64 + 6), abs=1e-3)
