"""A kernel's zeros stay zeros in every step of a training and in its average; the rest learns."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from sparse_training import TINY, Pictures

from yolo_slim.bundle import Bundle
from yolo_slim.data.loader import collate
from yolo_slim.errors import InputError
from yolo_slim.train.keep_zeros import KeptZeros
from yolo_slim.train.loop import train
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import network_of, random_weights


def halved(told: bool = True) -> Bundle:
    """Every second number of the first two kernels is 0; of the history only if `told`."""
    bundle = Bundle(TINY, random_weights(TINY))
    for index in (0, 1):
        bundle.weights[f"{index}.conv.weight"].view(-1)[::2] = 0.0
    return bundle.then("zero", {}) if told else bundle


def trained(bundle: Bundle, out: Path, resume: bool = False, **changes) -> Bundle:
    options = {"epochs": 2, "batch_size": 2, "lr": 0.01, "precision": "float32", "validations": 0}
    settings = TrainSettings(**{**options, **changes})
    return train(bundle, Pictures(), collate, settings, out, resume=resume)


def zeros(bundle: Bundle, index: int) -> torch.Tensor:
    return bundle.weights[f"{index}.conv.weight"].view(-1) == 0


@pytest.mark.parametrize(
    ("told", "option", "kept"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_zeros_stay_where_the_history_or_the_option_says_so(
    told, option, kept, optimizer, tmp_path
):
    bundle = halved(told)
    result = trained(bundle, tmp_path / "run", keep_zeros=option, optimizer=optimizer)
    for index in (0, 1):
        after = result.weights[f"{index}.conv.weight"].view(-1)
        before = bundle.weights[f"{index}.conv.weight"].view(-1)
        assert bool((after[::2] == 0).all()) == kept
        assert (after[1::2] != before[1::2]).all()
    assert result.history[-1].settings.get("keep_zeros", False) == kept


def test_zeros_stay_in_the_network_and_in_the_checkpoint_too(tmp_path):
    """The average could hide what each step had moved."""
    trained(halved(), tmp_path / "run", ema_decay=0.9)
    saved = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    states = [saved["state_dict"], saved["current_model_state"]]
    for state in states:
        kernels = [v for k, v in state.items() if k.endswith(("0.conv.weight", "1.conv.weight"))]
        assert len(kernels) == 2
        for kernel in kernels:
            assert (kernel.contiguous().view(-1)[::2] == 0).all()
            assert (kernel.contiguous().view(-1)[1::2] != 0).all()


def test_a_resumed_training_keeps_them_and_says_where_it_would_not(tmp_path):
    trained(halved(), tmp_path / "cut", epochs=3)
    again = trained(halved(), tmp_path / "cut", resume=True, epochs=4)
    assert zeros(again, 0)[::2].all() and not zeros(again, 0)[1::2].any()
    with pytest.raises(InputError, match="--keep-zeros 126 zeros, and now it is not given"):
        trained(halved(), tmp_path / "cut", resume=True, epochs=5, keep_zeros=False)


def test_only_kernels_are_held():
    bundle = halved()
    bundle.weights["0.bn.weight"][1] = 0.0
    bundle.weights["0.bn.bias"][:] = 0.0
    network = network_of(TINY, bundle.weights)
    kept = KeptZeros(network)
    assert set(kept.places) == {"0.conv.weight", "1.conv.weight"}
    assert len(kept) == 54 + 72
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1.0
    kept.restore(network)
    state = network.state_dict()
    assert (state["0.bn.weight"] > 0.9).all() and (state["0.bn.bias"] == 1).all()
    for index in (0, 1):
        kernel = state[f"{index}.conv.weight"].view(-1)
        assert (kernel[::2] == 0).all() and (kernel[1::2] != 0).all()
    assert copy.deepcopy(kept) is kept
