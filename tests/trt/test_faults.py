from __future__ import annotations

import doctest

import pytest

from yolo_slim.trt import faults, layers
from yolo_slim.trt.faults import failure, plain

NO_DRIVER = (
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at "
    "/_src/checkMacros.cpp:250 (cudaError 35: CUDA driver version is insufficient))"
)
NO_PROFILE = (
    "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (Network has dynamic or shape "
    "inputs, but no optimization profile has been defined. In validate at /_src/network.cpp:4023)"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NO_PROFILE, "Network has dynamic or shape inputs, but no optimization profile has been "
                     "defined"),
        ("Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is not supported. Do",
         "Non-zero zero point is not supported. Do"),
        (NO_DRIVER + "\n" + NO_PROFILE, plain(NO_PROFILE)),
        ("[tacticSupply.cpp::getSupportedFormats::48] Error Code 2: Internal Error (Assertion "
         "!layerImpls.empty() failed. suppress.selected_281 has no runners that implement it",
         "no kernel for node suppress.selected"),
        ("something new", "something new"),
        ("", "no reason given"),
        ("\n \n", "no reason given"),
        ("x" * 1000, "x" * 300),
    ],
)  # fmt: skip
def test_a_message_without_names_of_source_files(text, told):
    assert plain(text) == told


def test_the_lack_of_a_driver_is_told_where_it_is_all_there_is():
    assert failure([NO_DRIVER, NO_PROFILE]) == plain(NO_PROFILE)
    assert "driver" in failure([NO_DRIVER])
    assert failure([]) == "no reason given"


@pytest.mark.parametrize("module", [faults, layers])
def test_the_examples_of_the_docstrings(module):
    assert doctest.testmod(module).failed == 0
