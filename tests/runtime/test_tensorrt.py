"""The session over an engine, with an imitation of TensorRT that needs no GPU: what goes in comes
out of the right place, and what cannot be run is refused before it is loaded."""

from __future__ import annotations

from dataclasses import replace

import imitation_tensorrt
import numpy as np
import pytest
import torch

from yolo_slim.errors import InputError, RunError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.metadata import output_names, to_metadata
from yolo_slim.nn.suppress import Suppression
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.runtime.tensorrt import HOST_CODE, TensorRTSession
from yolo_slim.trt.engine_file import EngineRecord, record_path, sha256_of, write_engine
from yolo_slim.zoo import build

LESS = Suppression(conf=0.1, max_detections=20)


@pytest.fixture
def gpu(monkeypatch):
    imitation_tensorrt.install(monkeypatch)


@pytest.fixture
def engine(random_bundle, tmp_path):
    """Writes an engine and gives its path; beside it, the ONNX file that it computes."""
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    bundle = replace(bundle, class_names=("cat", "dog"))

    def write(batch=(1, 1, 1), plan=None, answer="raw", less=LESS, **changes):
        export_onnx(bundle, tmp_path / "a.onnx", None, batch != (1, 1, 1), answer, less)
        plan = plan or (tmp_path / "a.onnx").read_bytes()
        record = EngineRecord(
            sha256_of(plan), len(plan), "fp32", "tensorrt", imitation_tensorrt.VERSION, "8.6",
            batch, output_names(bundle.cfg, answer), to_metadata(bundle, answer, less),
        )  # fmt: skip
        write_engine(tmp_path / "a.engine", plan, replace(record, **changes))
        return tmp_path / "a.engine"

    return write


@pytest.mark.parametrize(
    ("batch", "n_images", "batches"),
    [
        ((1, 1, 1), 1, [1]),
        ((1, 1, 1), 3, [1, 1, 1]),
        ((1, 2, 4), 3, [3]),
        ((1, 2, 4), 9, [4, 4, 1]),
        ((3, 3, 3), 2, [3]),  # filled up, and cut again
        ((2, 2, 4), 5, [4, 2]),
    ],
)
def test_maps_are_those_of_the_graph(batch, n_images, batches, engine, gpu):
    path = engine(batch)
    session = TensorRTSession(path)
    images = np.random.default_rng(0).random((n_images, 3, 64, 64), np.float32)
    maps = session.run(images)
    for ours, theirs in zip(
        maps, OnnxSession(path.with_suffix(".onnx"), 1).run(images), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert session.context.batches == batches
    assert session.names == ("cat", "dog") and session.runtime == "tensorrt"
    assert session.cfg.input_hw == (64, 64)


@pytest.mark.parametrize("batch", [(1, 1, 1), (1, 2, 4), (3, 3, 3)])
@pytest.mark.parametrize("answer", ["boxes", "detections"])
def test_boxes_and_detections_are_those_of_the_graph(answer, batch, engine, gpu):
    """Detections are as many as there are: TensorRT asks for the room, and tells the shape."""
    path = engine(batch, answer=answer)
    session = TensorRTSession(path)
    wanted = OnnxSession(path.with_suffix(".onnx"), 1)
    assert (session.answer, session.suppression) == (wanted.answer, wanted.suppression)
    for seed in range(2):
        images = np.random.default_rng(seed).random((5, 3, 64, 64), np.float32)
        for ours, theirs in zip(session.run(images), wanted.run(images), strict=True):
            assert len(ours) > 4
            np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_pictures_in_which_nothing_is_seen_have_no_detections(engine, gpu):
    session = TensorRTSession(engine(answer="detections", less=Suppression(conf=1.0)))
    (rows,) = session.run(np.zeros((1, 3, 64, 64), np.float32))
    assert rows.shape == (0, 7)


def test_a_run_leaves_the_last_result_alone(engine, gpu):
    session = TensorRTSession(engine())
    rng = np.random.default_rng(0)
    first = session.run(rng.random((1, 3, 64, 64), np.float32))
    kept = [raw.copy() for raw in first]
    session.run(rng.random((1, 3, 64, 64), np.float32))
    assert all((a == b).all() for a, b in zip(first, kept, strict=True))


def test_the_inspector_is_asked_with_a_context(engine, gpu):
    assert '"Layers"' in TensorRTSession(engine((1, 2, 4))).layers()


REFUSED = {
    "another GPU": ({"compute_capability": "8.9"}, "compute capability 8.9; this one has 8.6"),
    "another version": ({"version": "10.3.0"}, "built by tensorrt 10.3.0; installed is 11.4"),
    "program code": ({"version_compatible": True}, rf"carries program code.*{HOST_CODE}=1"),
    "another plan": ({"sha256": "0" * 64}, "is not the engine that"),
    "no cfg": ({"metadata": {}}, "carries no cfg"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_refused_before_it_is_loaded(case, engine, gpu, monkeypatch):
    changes, told = REFUSED[case]
    path = engine(**changes)
    monkeypatch.setattr(imitation_tensorrt.Runtime, "deserialize_cuda_engine", None)
    with pytest.raises(InputError, match=told):
        TensorRTSession(path)


@pytest.mark.parametrize(
    ("here", "changes", "runs"),
    [
        ((8, 9), {"hardware_compatible": True}, True),
        ((12, 0), {"compute_capability": "portable"}, True),
        ((7, 5), {"compute_capability": "portable"}, False),
        ((7, 5), {"hardware_compatible": True}, False),
        ((12, 0), {"compute_capability": "12.0"}, True),
    ],
)
def test_which_gpus_an_engine_is_for(here, changes, runs, engine, monkeypatch):
    imitation_tensorrt.install(monkeypatch, here)
    path = engine(**changes)
    if runs:
        TensorRTSession(path)
        return
    with pytest.raises(InputError, match=r"8\.0 and newer; this one has 7\.5"):
        TensorRTSession(path)


def test_program_code_runs_where_a_person_said_so_and_nowhere_else(engine, gpu, monkeypatch):
    assert not TensorRTSession(engine()).engine.runtime.engine_host_code_allowed
    monkeypatch.setenv(HOST_CODE, "1")
    assert not TensorRTSession(engine()).engine.runtime.engine_host_code_allowed
    session = TensorRTSession(engine(version_compatible=True, version="10.3.0"))
    assert session.engine.runtime.engine_host_code_allowed


def test_a_plan_that_does_not_load_says_why(engine, gpu):
    with pytest.raises(RunError, match=r"a\.engine: TensorRT cannot load it: .*Failed to load"):
        TensorRTSession(engine(plan=b"no plan at all"))


def test_a_run_that_fails_says_so(engine, gpu, monkeypatch):
    session = TensorRTSession(engine())
    with pytest.raises(RunError, match=r"does not take \(1, 3, 32, 32\)"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))
    monkeypatch.setattr(session.context, "execute_async_v3", lambda stream: False)
    with pytest.raises(RunError, match=r"a\.engine stopped"):
        session.run(np.zeros((1, 3, 64, 64), np.float32))


@pytest.mark.parametrize("name", ["a.engine", "a.engine.json"])
def test_without_a_gpu_nothing_is_read(name, engine, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = engine()
    (path.parent / name).unlink()
    with pytest.raises(InputError, match=r"a\.engine: an engine needs an NVIDIA GPU"):
        TensorRTSession(path)
    record_path(path).unlink(missing_ok=True)
