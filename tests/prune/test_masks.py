"""The smallest numbers become zeros, as many as were asked for and where; nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cfg_pieces import HEAD, NET, YOLO
from onnx import numpy_helper

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Conv, parse
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.masks import kernel_zeros, left_alone, zero_weights
from yolo_slim.zoo import build

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation=leaky\n"
TWO = parse(NET + CONV.format(4, 3) + CONV.format(4, 1) + HEAD + YOLO)
"""A 3x3 and a 1x1 convolution, and a head's."""

GRANULARITIES = ("weight", "2:4", "kernel")


def kernels(bundle: Bundle) -> dict[int, torch.Tensor]:
    return {
        int(key.split(".")[0]): tensor
        for key, tensor in bundle.weights.items()
        if key.endswith("conv.weight")
    }


def with_kernels(random_bundle, **values: list[float]) -> Bundle:
    """TWO with kernels known by heart: section name 's1' -> its numbers."""
    bundle = random_bundle(TWO)
    for name, numbers in values.items():
        kernel = bundle.weights[f"{name[1:]}.conv.weight"]
        kernel.copy_(torch.tensor(numbers, dtype=kernel.dtype).view(kernel.shape))
    return bundle


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("within", ["network", "layer"])
def test_what_is_not_zeroed_is_as_it_was(granularity, within, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    before = {key: tensor.clone() for key, tensor in bundle.weights.items()}
    zeroed = zero_weights(bundle, granularity, 0.6, within)
    assert zeroed.cfg == bundle.cfg
    assert zeroed.weights.keys() == before.keys()
    for key, tensor in zeroed.weights.items():
        assert torch.equal(bundle.weights[key], before[key])
        same = tensor == before[key]
        if key.endswith("conv.weight"):
            same |= tensor == 0
        assert same.all()
    assert zeroed.was_zeroed and not bundle.was_zeroed
    for index in bundle.cfg.head_convs:
        assert torch.equal(zeroed.weights[f"{index}.conv.weight"], before[f"{index}.conv.weight"])


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.9])
def test_over_the_network_the_share_is_exact_and_one_threshold_parts_them(ratio, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    zeroed = zero_weights(bundle, "weight", ratio, layer_keep=0)
    chosen = [i for i, reason in left_alone(bundle.cfg, "weight").items() if not reason]
    before = torch.cat([kernels(bundle)[i].flatten().abs() for i in chosen])
    after = torch.cat([kernels(zeroed)[i].flatten().abs() for i in chosen])
    gone = after == 0
    assert gone.sum() == round(ratio * len(before))
    if ratio:
        # Of each layer the largest is not for choice: a layer of zeros would end the network.
        largest = torch.cat([
            kernels(bundle)[i].flatten().abs() == kernels(bundle)[i].abs().max() for i in chosen
        ])  # fmt: skip
        assert before[gone].max() <= before[~gone & ~largest].min()


@pytest.mark.parametrize("granularity", ["weight", "kernel"])
def test_within_a_layer_each_loses_its_share(granularity, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    zeroed = zero_weights(bundle, granularity, 0.3, "layer")
    for found in kernel_zeros(zeroed, granularity):
        size = bundle.cfg[found.index].size ** 2 if granularity == "kernel" else 1
        share = 0 if found.left_alone else round(0.3 * found.n_weights / size) * size
        assert found.n_zeros == share


def test_single_connections_by_hand(random_bundle):
    first = [0.1 * (k + 1) for k in range(108)]  # 0.1 to 10.8
    second = [-0.05, 0.15, 20, -20, *[30.0] * 12]
    bundle = with_kernels(random_bundle, s0=first, s1=second)
    zeroed = kernels(zero_weights(bundle, "weight", 5 / 124))
    # The five least of both: 0.05, 0.1, 0.15, 0.2, 0.3.
    assert (zeroed[1] == 0).flatten().tolist() == [True, True] + [False] * 14
    assert (zeroed[0] == 0).flatten().tolist() == [True] * 3 + [False] * 105
    apart = kernels(zero_weights(bundle, "weight", 0.25, "layer"))
    assert (apart[0] == 0).flatten().tolist() == [True] * 27 + [False] * 81
    assert (apart[1] == 0).flatten().tolist() == [True] * 4 + [False] * 12


@pytest.mark.parametrize("granularity", ["weight", "kernel"])
@pytest.mark.parametrize("layer_keep", [0.0, 0.3])
def test_over_the_network_a_small_layer_keeps_its_floor(granularity, layer_keep, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    bundle.weights["3.conv.weight"] *= 1e-6
    zeroed = zero_weights(bundle, granularity, 0.5, layer_keep=layer_keep)
    (found,) = (f for f in kernel_zeros(zeroed, granularity) if f.index == 3)
    size = bundle.cfg[3].size ** 2 if granularity == "kernel" else 1
    units = found.n_weights // size
    assert units - found.n_zeros // size == max(1, np.ceil(layer_keep * units))
    kernel, kept = kernels(bundle)[3].abs(), kernels(zeroed)[3] != 0
    assert kept.flatten()[kernel.argmax()] or granularity == "kernel"


def test_two_of_four_by_hand(random_bundle):
    bundle = with_kernels(random_bundle, s1=[1, -4, 2, 3, -1, 1, 1, 1, 0, 0, 0, 5, 9, 8, -7, 0.5])
    zeroed = zero_weights(bundle, "2:4")
    assert kernels(zeroed)[1].view(4, 4).tolist() == [
        [0, -4, 0, 3], [0, 0, 1, 1], [0, 0, 0, 5], [9, 8, 0, 0],
    ]  # fmt: skip
    assert torch.equal(kernels(zeroed)[0], kernels(bundle)[0])
    reasons = left_alone(bundle.cfg, "2:4")
    assert reasons[0] == "each filter reads 3 channels: no multiple of 4"
    assert reasons[1] == ""
    assert reasons[2] == "read by a head"


def test_two_of_four_runs_along_the_input_channels_at_every_place(random_bundle):
    """[out, in, kh, kw]: neighbours in `in`, and in no other axis."""
    bundle = random_bundle(build("yolov3-tiny-mobilenetv3-small", 2, 64))
    zeroed, reasons = kernels(zero_weights(bundle, "2:4")), left_alone(bundle.cfg, "2:4")
    source = kernels(bundle)
    done = 0
    for index, kernel in zeroed.items():
        c_in = kernel.shape[1]
        if reasons[index]:
            assert torch.equal(kernel, source[index])
            continue
        assert c_in % 4 == 0
        for start in range(0, c_in, 4):
            four = kernel[:, start : start + 4]
            assert ((four == 0).sum(dim=1) == 2).all()
            kept = source[index][:, start : start + 4].abs()
            least = torch.where(four != 0, kept, torch.inf).amin(dim=1)
            assert (least >= torch.where(four == 0, kept, -torch.inf).amax(dim=1)).all()
        done += 1
    assert done > 20
    depthwise = [i for i, s in enumerate(bundle.cfg) if isinstance(s, Conv) and s.groups > 1]
    assert depthwise and all("reads 1 channels" in reasons[i] for i in depthwise)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_whole_kernels_by_hand(norm, random_bundle):
    """One large number or nine of a size: l1 and l2 see it differently, and 1x1 beside 3x3 is
    compared by the mean."""
    first = torch.full((4, 3, 3, 3), 5.0)
    first[2, 1] = torch.tensor([8.1] + [0.0] * 8).view(3, 3)  # mean 0.9, root mean square 2.7
    first[3, 0] = 1.5
    second = torch.full((4, 4), 6.0)
    second[1, 2], second[0, 3] = -1.0, 1.6
    bundle = with_kernels(random_bundle, s0=first.tolist(), s1=second.tolist())
    order = {"l1": [(0, 2, 1), (1, 1, 2), (0, 3, 0)], "l2": [(1, 1, 2), (0, 3, 0), (1, 0, 3)]}[norm]
    for n in (1, 2, 3):
        zeroed = kernels(zero_weights(bundle, "kernel", n / 28, norm=norm, layer_keep=0))
        gone = {
            (index, o, i)
            for index in (0, 1)
            for o, i in torch.nonzero((zeroed[index] == 0).all(dim=3).all(dim=2)).tolist()
        }
        assert gone == set(order[:n])


def test_ties_are_as_many_as_asked_for(random_bundle):
    bundle = with_kernels(random_bundle, s0=[1.0] * 108, s1=[1.0] * 16)
    zeroed = zero_weights(bundle, "weight", 0.5, layer_keep=0)
    assert sum(int((kernels(zeroed)[i] == 0).sum()) for i in (0, 1)) == 62


def test_more_zeros_come_to_those_there_are(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    once = zero_weights(bundle, "weight", 0.3)
    twice = zero_weights(once, "weight", 0.6)
    direct = zero_weights(bundle, "weight", 0.6)
    for index, kernel in kernels(twice).items():
        assert torch.equal(kernel, kernels(direct)[index])
        assert ((kernels(once)[index] == 0) <= (kernel == 0)).all()


def test_what_is_dense_stays_and_is_told_why(random_bundle):
    bundle = random_bundle(TWO)
    zeroed = zero_weights(bundle, "weight", 0.5, dense=(0, 2))
    first, second, head = kernel_zeros(zeroed, "weight", dense=(0, 2))
    assert (first.left_alone, first.n_zeros) == ("named in --dense", 0)
    assert (head.left_alone, head.n_zeros) == ("read by a head", 0)
    assert (second.left_alone, second.n_zeros, second.n_weights) == ("", 8, 16)
    assert second.share == 0.5
    everything = zero_weights(bundle, "weight", 0.5, "layer", dense=())
    assert [found.share for found in kernel_zeros(everything, "weight", ())] == [0.5] * 3
    signs = parse(NET + CONV.format(4, 3) + CONV.format(4, 1) + "xnor=1\n" + HEAD + YOLO)
    assert "signs" in left_alone(signs, "weight")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"granularity": "block"}, "--granularity"), ({"ratio": 1.0}, "--ratio"),
     ({"ratio": -0.1}, "--ratio"), ({"layer_keep": 2}, "--layer-keep"),
     ({"dense": (99,)}, "--dense 99"), ({"dense": (3,)}, "--dense 3")],
)  # fmt: skip
def test_an_argument_out_of_range_is_named(arguments, told, random_bundle):
    with pytest.raises(InputError, match=told):
        zero_weights(random_bundle(TWO), **{"granularity": "weight", **arguments})


def test_a_folded_bundle_is_refused(random_bundle):
    with pytest.raises(InputError, match="needs BatchNorm"):
        zero_weights(fold_batchnorm(random_bundle(TWO)), "weight")


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_zeros_survive_the_disk_and_the_export(granularity, random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    zeroed = zero_weights(bundle, granularity, 0.4)
    zeroed.save(tmp_path / "b")
    read = load_bundle(tmp_path / "b")
    assert read.was_zeroed and kernel_zeros(read, granularity) == kernel_zeros(zeroed, granularity)
    model = export_onnx(read, tmp_path / "b.onnx")
    written = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for found in kernel_zeros(zeroed, granularity):
        kernel = written[f"{found.index}.conv.weight"]
        np.testing.assert_array_equal(kernel == 0, kernels(zeroed)[found.index].numpy() == 0)
        assert np.count_nonzero(kernel) == found.n_weights - found.n_zeros
    assert sum(found.n_zeros for found in kernel_zeros(zeroed, granularity)) > 10_000
