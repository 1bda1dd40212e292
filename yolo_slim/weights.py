"""The numbers of a network as a plain state dict whose keys derive from its cfg."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from yolo_slim.cfg import Cfg, Yolo, tensor_shapes
from yolo_slim.errors import WeightsError
from yolo_slim.nn.blocks import ConnectedBlock, ConvBlock
from yolo_slim.nn.network import Network
from yolo_slim.precision import Precision

Weights = dict[str, Tensor]

DTYPES = (torch.float32, torch.float64)
"""What a network computes with. Others are refused, not converted: half of a number's bits, or all
behind its point, may be gone, and nothing here writes them."""

OBJECTNESS_PRIOR = 0.01
"""Share of cells that are expected to hold an object before anything is learnt."""


def expected_shapes(cfg: Cfg) -> dict[str, tuple[int, ...]]:
    """Keys of the weights of `cfg` and the shape of each, in the order of Darknet's files."""
    return {
        f"{index}.{name}": shape
        for index, tensors in enumerate(tensor_shapes(cfg))
        for name, shape in tensors.items()
    }


def check_weights(cfg: Cfg, weights: Mapping[str, Tensor], source: str = "weights") -> None:
    """Raises WeightsError unless `weights` has exactly the tensors that `cfg` needs, all sound."""
    expected = expected_shapes(cfg)
    for key in expected.keys() - weights.keys():
        raise WeightsError(f"{source}: tensor {key} is missing; {cfg.source} needs {expected[key]}")
    check_tensors(cfg, weights, source)


def check_tensors(cfg: Cfg, weights: Mapping[str, Tensor], source: str = "weights") -> None:
    """Raises WeightsError for a tensor that `cfg` has no place for, of another shape, of a type
    that is not in DTYPES, or with numbers that no network can have."""
    expected = expected_shapes(cfg)
    for key in weights.keys() - expected.keys():
        raise WeightsError(f"{source}: tensor {key} belongs to no section of {cfg.source}")
    for key, tensor in weights.items():
        found = tuple(tensor.shape)
        if found != expected[key]:
            needed = expected[key]
            raise WeightsError(f"{source}: {key} has shape {found}, {cfg.source} needs {needed}")
        if tensor.dtype not in DTYPES:
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(f"{source}: {key} is {dtype}, expected float32 or float64")
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{source}: {key} holds numbers that are not finite")
        if key.endswith("running_var") and (tensor < 0).any():
            raise WeightsError(f"{source}: {key} holds negative variances")


def renumbered(weights: Mapping[str, Tensor], moved: Mapping[int, int | None]) -> Weights:
    """The tensors under the new numbers of their sections; those of None are left out."""
    there = {}
    for key, tensor in weights.items():
        index, name = key.split(".", 1)
        place = moved[int(index)]
        if place is not None:
            there[f"{place}.{name}"] = tensor
    return there


def random_weights(cfg: Cfg, seed: int = 0) -> Weights:
    """Weights to start training from: He initialisation (He et al., 2015), prior-aware heads."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(cfg)
        for index, section in enumerate(cfg):
            block = network.get_submodule(str(index))
            if isinstance(block, ConvBlock):
                nn.init.kaiming_normal_(block.conv.weight, a=0.1, mode="fan_in")
            elif isinstance(block, ConnectedBlock):
                nn.init.kaiming_normal_(block.connected.weight, a=0.1, mode="fan_in")
            elif type(section) is Yolo:
                _start_head(network.get_submodule(str(index - 1)), section)
    return weights_of(network)


def weights_of(network: nn.Module) -> Weights:
    """A detached copy of a network's weights, without torch's batch counters."""
    return {
        key: tensor.detach().clone().contiguous()
        for key, tensor in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def network_of(
    cfg: Cfg,
    weights: Mapping[str, Tensor],
    precision: Precision | None = None,
    learn_ranges: bool = False,
) -> Network:
    """A network of `cfg` that holds a copy of `weights`, in evaluation mode."""
    network = Network(cfg, precision, learn_ranges)
    dtype = next((tensor.dtype for tensor in weights.values()), torch.get_default_dtype())
    missing, unexpected = network.to(dtype).load_state_dict(dict(weights), strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    missing = [key for key in missing if not key.startswith("grids.")]  # they have their start
    if missing or unexpected:
        raise WeightsError(f"{cfg.source}: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return network.eval()


def _start_head(block: nn.Module, yolo: Yolo) -> None:
    if not isinstance(block, ConvBlock) or block.conv.bias is None:
        return
    nn.init.normal_(block.conv.weight, std=0.01)
    with torch.no_grad():
        bias = block.conv.bias.view(len(yolo.mask), 5 + yolo.classes)
        bias.zero_()
        if not yolo.new_coords:
            bias[:, 4] = math.log(OBJECTNESS_PRIOR / (1 - OBJECTNESS_PRIOR))
            bias[:, 5:] = -math.log(max(yolo.classes - 1, 1))
