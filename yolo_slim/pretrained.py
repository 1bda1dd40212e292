"""A backbone's numbers from elsewhere: Darknet's files, torchvision's and timm's tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from yolo_slim.bundle import Bundle, bundle_folder, load_bundle
from yolo_slim.cfg import Batchnorm, Cfg, Connected, Conv, Net, Section, tensor_shapes
from yolo_slim.darknet_weights import read_darknet_backbone
from yolo_slim.errors import InputError, RunError, WeightsError
from yolo_slim.weights import Weights, check_tensors
from yolo_slim.zoo import classifier, find_classifier
from yolo_slim.zoo.trunk import IMAGENET

LIBRARIES = ("torchvision", "timm")

MOST_LEFT = 4
"""Kernels that may be left over, each with its BatchNorm: the top of a classifier has that many and
a detector none."""

TORCHVISION = {
    "resnet18": "resnet18", "resnet34": "resnet34", "resnet50": "resnet50",
    "vgg16": "vgg16_bn", "vgg19": "vgg19_bn", "densenet121": "densenet121",
    "mobilenetv2": "mobilenet_v2", "mobilenetv3-large": "mobilenet_v3_large",
    "mobilenetv3-small": "mobilenet_v3_small", "mnasnet-0.5": "mnasnet0_5",
    "mnasnet-1.0": "mnasnet1_0", "shufflenetv2-0.5": "shufflenet_v2_x0_5",
    "shufflenetv2-1.0": "shufflenet_v2_x1_0", "shufflenetv2-1.5": "shufflenet_v2_x1_5",
    "shufflenetv2-2.0": "shufflenet_v2_x2_0",
    **{f"efficientnet-b{phi}": f"efficientnet_b{phi}" for phi in range(8)},
}  # fmt: skip
"""Networks of the zoo, and what torchvision calls them."""

TIMM = {
    "ghostnet": "ghostnet_100", "seresnet50": "seresnet50",
    **{f"tinynet-{letter}": f"tinynet_{letter}" for letter in "abcde"},
}  # fmt: skip
"""Networks of the zoo, and what timm calls those that torchvision does not have."""


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    n_sections: how many sections, from the first on, were filled.
    left_over: tensors of the file that no section has a place for.
    """

    bundle: Bundle
    n_sections: int
    left_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        cfg, last = self.bundle.cfg, self.n_sections - 1
        told = f"sections 0 to {last} of {len(cfg)} filled, up to {cfg.where(last)}"
        if not self.left_over:
            return told
        some = ", ".join(self.left_over[:6]) + (", ..." if len(self.left_over) > 6 else "")
        return f"{told}; {len(self.left_over)} tensors are left over: {some}"


def import_backbone(bundle: Bundle, source: str) -> Imported:
    """The bundle with its first sections' numbers from elsewhere.

    source: a Darknet file like darknet53.conv.74; a bundle folder, of which the sections at the
    front that are the same count; a .pth, .pt or .safetensors file of torchvision or timm; or
    'torchvision' or 'timm', which download it. Such a network's mean, std and BatchNorm epsilon go
    into [net].

    Raises WeightsError where the numbers do not fit, RunError where a download fails.
    """
    path = Path(source)
    if not source:
        raise InputError("--backbone-weights names no file")
    if path.is_dir():
        imported = _import_bundle(bundle, load_bundle(bundle_folder(path)), source)
    elif source in LIBRARIES:
        imported = import_state_dict(bundle, _download(bundle.cfg, source), source)
    elif path.suffix in (".pth", ".pt", ".safetensors"):
        state = _read_state_dict(path)
        if path.suffix == ".safetensors":
            state = _in_order_of_making(state, bundle.cfg)
        imported = import_state_dict(bundle, state, path.name)
    else:
        weights, n_sections = read_darknet_backbone(path, bundle.cfg)
        filled = replace(bundle, weights={**bundle.weights, **weights})
        imported = Imported(filled, n_sections)
    settings = {"source": path.name, "sections": imported.n_sections}
    return replace(imported, bundle=imported.bundle.then("import", settings))


def import_state_dict(bundle: Bundle, state: Mapping[str, Tensor], source: str) -> Imported:
    """Both networks are walked in order, kernel for kernel and BatchNorm for BatchNorm, as far as
    the shapes agree.

    A bias in front of a BatchNorm goes into its mean; a bias that is not there is 0. Raises
    WeightsError, naming both sides, where more than a classifier's top is left over: kernels, or
    BatchNorms whose kernels have found a place.
    """
    cfg = bundle.cfg
    kernels, norms = _units(state)
    weights: Weights = {}
    n_sections = 0
    for index, (section, shapes) in enumerate(zip(cfg, tensor_shapes(cfg), strict=True)):
        taken = _take(section, shapes, kernels, norms)
        if taken is None:
            break
        weights |= {f"{index}.{name}": tensor for name, tensor in taken.items()}
        n_sections = index + 1
    left_over = tuple(f"{unit.name}.{leaf}" for unit in (*kernels, *norms) for leaf in unit.tensors)
    if len(kernels) > MOST_LEFT or not weights:
        found = kernels[0] if kernels else None
        shape = tuple(found.tensors["weight"].shape) if found else "nothing"
        raise WeightsError(
            f"{source}: {cfg.where(min(n_sections, len(cfg) - 1))} has no place for "
            f"{found.name if found else 'it'} ({shape}): {len(kernels)} kernels are left over. "
            "Expected the tensors of the network that this cfg begins with"
        )
    if len(norms) > len(kernels):
        raise WeightsError(
            f"{source}: {cfg.source} has no place for BatchNorm {norms[0].name}: {len(norms)} are "
            f"left over, and {len(kernels)} kernels. Expected batch_normalize=1 where the tensors "
            "have it: a folded network takes none"
        )
    name = find_classifier(cfg)
    published = classifier(name).net if name else IMAGENET
    return Imported(_filled(bundle, weights, published, source), n_sections, left_over)


def _filled(bundle: Bundle, weights: Weights, published: Net, source: str) -> Bundle:
    """The bundle with these weights among its own, and the conventions that they were made for.

    Raises WeightsError where the numbers are none that a network can have.
    """
    net = replace(bundle.cfg.net, bn_eps=published.bn_eps)
    if len(published.mean) in (0, net.channels):  # a network of grey pictures has no such colours
        net = replace(net, mean=published.mean, std=published.std)
    cfg = replace(bundle.cfg, net=net)
    check_tensors(cfg, weights, source)
    return replace(bundle, cfg=cfg, weights={**bundle.weights, **weights})


def _import_bundle(bundle: Bundle, other: Bundle, source: str) -> Imported:
    """What both begin with, section for section."""
    n_sections = 0
    for ours, theirs in zip(bundle.cfg, other.cfg, strict=False):
        if ours.without_extras() != theirs.without_extras():
            break
        n_sections += 1
    taken = {k: v for k, v in other.weights.items() if int(k.split(".")[0]) < n_sections}
    kernels = [key for key in other.weights if key not in taken and other.weights[key].dim() > 1]
    if not taken or len(kernels) > MOST_LEFT:
        where = other.cfg.where(min(n_sections, len(other.cfg) - 1))
        raise WeightsError(
            f"{source}: from {where} on it is not what {bundle.cfg.source} begins with; "
            f"{len(kernels)} kernels are left over"
        )
    left_over = tuple(key for key in other.weights if key not in taken)
    return Imported(_filled(bundle, taken, other.cfg.net, source), n_sections, left_over)


@dataclass
class Unit:
    """The tensors of one module of another library, by their last name."""

    name: str
    tensors: dict[str, Tensor]


def _units(state: Mapping[str, Tensor]) -> tuple[deque[Unit], deque[Unit]]:
    """Kernels and BatchNorms, each in order."""
    units: dict[str, Unit] = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        if leaf != "num_batches_tracked":
            units.setdefault(module, Unit(module, {})).tensors[leaf] = tensor
    kernels = (u for u in units.values() if "weight" in u.tensors and u.tensors["weight"].dim() > 1)
    norms = (u for u in units.values() if "running_mean" in u.tensors)
    return deque(kernels), deque(norms)


def _take(
    section: Section,
    shapes: Mapping[str, tuple[int, ...]],
    kernels: deque[Unit],
    norms: deque[Unit],
) -> Weights | None:
    """The tensors of one section, taken off the front; None where they do not fit."""
    if not shapes:
        return {}
    taken: Weights = {}
    bias = None
    if isinstance(section, Conv | Connected):
        name = "conv" if isinstance(section, Conv) else "connected"
        wanted = shapes[f"{name}.weight"]
        # A matrix may stand for a 1x1 kernel, and the other way round.
        if not kernels:
            return None
        shape = kernels[0].tensors["weight"].shape
        if _without_ones(shape) != _without_ones(wanted):
            return None
        unit = kernels.popleft()
        taken[f"{name}.weight"] = unit.tensors["weight"].float().reshape(wanted)
        bias = unit.tensors.get("bias")
        if f"{name}.bias" in shapes:
            taken[f"{name}.bias"] = torch.zeros(wanted[0]) if bias is None else bias.float()
    elif not isinstance(section, Batchnorm):
        return None
    if "bn.weight" in shapes:
        if not norms or norms[0].tensors["running_mean"].shape != shapes["bn.weight"]:
            return None
        unit = norms.popleft()
        lacking = {"weight", "bias", "running_var"} - unit.tensors.keys()
        if lacking:
            raise WeightsError(f"BatchNorm {unit.name} has no {', '.join(sorted(lacking))}")
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            taken[f"bn.{leaf}"] = unit.tensors[leaf].float()
        if bias is not None and bias.shape == taken["bn.running_mean"].shape:
            taken["bn.running_mean"] = taken["bn.running_mean"] - bias.float()
    return taken


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[:2]) if tuple(shape[2:]) == (1, 1) else tuple(shape)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. Nothing in it is executed."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # torch's reader of foreign bytes raises whatever it trips over
        raise WeightsError(
            f"{path}: holds no plain tensors ({type(error).__name__}); expected a state dict of "
            "torchvision or timm, not a pickled model"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{path}: expected a state dict, names and tensors alone")
    for key, tensor in loaded.items():
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_meta:
            raise WeightsError(f"{path}: {key} is no plain tensor of real numbers")
    return {str(key): tensor for key, tensor in loaded.items()}


def _in_order_of_making(state: dict[str, Tensor], cfg: Cfg) -> dict[str, Tensor]:
    """A .safetensors file sorts its tensors by name; the library knows the order of the network.

    The state as it is where no library has a network with these names.
    """
    name = find_classifier(cfg)
    for library in LIBRARIES:
        try:
            with torch.device("meta"):
                keys = list(_library_network(library, name or "", pretrained=False))
        except (ImportError, InputError):
            continue
        if set(keys) == set(state):
            return {key: state[key] for key in keys}
    return state


def _library_network(library: str, name: str, pretrained: bool) -> dict[str, Tensor]:
    """The state dict of a network of the zoo in a library, in the order of its making."""
    table = TORCHVISION if library == "torchvision" else TIMM
    if name not in table:
        raise InputError(f"{name} is not in {library}; there are {', '.join(table)}")
    if library == "torchvision":
        from torchvision import models

        network = models.get_model(table[name], weights="DEFAULT" if pretrained else None)
    else:
        import timm

        network = timm.create_model(table[name], pretrained=pretrained)
    return dict(network.state_dict())


def _download(cfg: Cfg, library: str) -> dict[str, Tensor]:
    try:
        return _library_network(library, find_classifier(cfg) or cfg.source, pretrained=True)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"--backbone-weights {library}: {error}; pip install {library}") from None
    except Exception as error:  # the libraries let through whatever their downloads raise
        reason = str(error).splitlines()[0][:160]
        raise RunError(f"{library} could not be loaded from ({reason})") from None
