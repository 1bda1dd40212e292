"""The route through Torch-TensorRT as far as it goes without it: the module that it is given, and
how it is called. Names and defaults are those of torch_tensorrt 2.14.0's source."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from yolo_slim.errors import InputError, RunError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.trt.torch_route import load_torch_tensorrt, torch_tensorrt_plan
from yolo_slim.weights import network_of
from yolo_slim.zoo import build


@pytest.fixture
def network(random_bundle):
    folded = fold_batchnorm(random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32))
    return network_of(folded.cfg, folded.weights)


@pytest.fixture
def torch_tensorrt(monkeypatch):
    """Takes what 2.14.0 takes, and computes nothing."""
    calls = []

    def convert_exported_program_to_serialized_trt_engine(
        exported_program, inputs=None, *, arg_inputs=None, kwarg_inputs=None,
        require_full_compilation=False, arg_input_binding_names=None, output_binding_names=None,
    ):  # fmt: skip
        calls.append((exported_program, arg_inputs, arg_input_binding_names, output_binding_names))
        return bytearray(b"plan")

    module = ModuleType("torch_tensorrt")
    convert = convert_exported_program_to_serialized_trt_engine
    module.dynamo = SimpleNamespace(convert_exported_program_to_serialized_trt_engine=convert)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", module)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("yolo_slim.trt.torch_route.DEVICE", "cpu")
    return calls


@pytest.mark.parametrize("half", [False, True])
def test_it_is_given_the_network_with_float_ends(half, network, torch_tensorrt):
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = [raw.clone() for raw in network(x)]
    plan, names = torch_tensorrt_plan(network, (3, 64, 64), half)
    assert (plan, names) == (b"plan", ("head_0", "head_1"))
    ((exported, arguments, inputs, outputs),) = torch_tensorrt
    assert [tuple(a.shape) for a in arguments] == [(1, 3, 64, 64)]
    assert (inputs, outputs) == (("images",), names)
    with torch.no_grad():
        found = exported.module()(x)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, atol=0.05 if half else 1e-5, rtol=0.05)


def test_a_conversion_that_fails_is_told_in_a_line(network, torch_tensorrt, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("While interpreting the module\ngot an error")

    monkeypatch.setattr(sys.modules["torch_tensorrt"].dynamo,
                        "convert_exported_program_to_serialized_trt_engine", fail)  # fmt: skip
    with pytest.raises(RunError, match=r"cannot convert .*: While interpreting the module"):
        torch_tensorrt_plan(network, (3, 64, 64), False)


def test_without_the_package_it_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(InputError, match=r"driver, torch 2\.14 and tensorrt-cu13 11\.1: pip"):
        load_torch_tensorrt()
