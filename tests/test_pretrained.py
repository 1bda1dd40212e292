"""Numbers of torchvision and timm in our documents: the same maps at strides 8, 16 and 32."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest
import torch
import torchvision.models as tv
from safetensors.torch import save_file
from torch import nn

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, parse, verify, without_batchnorm
from yolo_slim.errors import InputError, RunError, WeightsError
from yolo_slim.geometry import to_blob
from yolo_slim.pretrained import TIMM, TORCHVISION, import_backbone, import_state_dict
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build, classifier

QUICK = {
    "resnet18", "mobilenetv2", "mobilenetv3-small", "mnasnet-0.5", "shufflenetv2-0.5",
    "efficientnet-b0", "tinynet-e", "ghostnet", "densenet121",
}  # fmt: skip
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in (*TORCHVISION, *TIMM)
]


# Biases that torchvision puts in front of a BatchNorm: they go into its mean.
BIASES_BEFORE_NORM = {"vgg16": 13, "vgg19": 16}


def random_library_network(name: str) -> nn.Module:
    """A network of torchvision or timm whose numbers are all of a size."""
    torch.manual_seed(0)
    if name in TORCHVISION:
        network = tv.get_model(TORCHVISION[name], weights=None)
    else:
        network = pytest.importorskip("timm").create_model(TIMM[name])
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(std=0.1)
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.0)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.normal_(std=0.1)  # theirs start at 0
    return network.eval()


def library_maps(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What every module gives, and its ReLU, which may be a function between modules."""
    maps: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            maps.extend((output.clone(), output.relu()))

    for module in network.modules():
        module.register_forward_hook(keep)
    network(images)
    return maps


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_a_detector_s_backbone_are_the_library_s(name):
    cfg = build(f"yolov3-{name}", 3, 96)
    theirs = random_library_network(name)
    bundle = Bundle(cfg, random_weights(cfg))
    imported = import_state_dict(bundle, theirs.state_dict(), "random.pth")
    found = classifier(name)
    assert imported.n_sections == len(found.trunk)
    net = imported.bundle.cfg.net
    assert (net.mean, net.std, net.bn_eps) == (found.net.mean, found.net.std, found.net.bn_eps)
    # Every tensor is accounted for: it has a place, or it is said that it has none.
    tensors = {k for k in theirs.state_dict() if not k.endswith("num_batches_tracked")}
    filled = {k: v for k, v in imported.bundle.weights.items()
              if int(k.split(".")[0]) < len(found.trunk)}  # fmt: skip
    without_place = BIASES_BEFORE_NORM.get(name, 0)
    ours_alone = sum(k.endswith("conv.bias") and not v.any() for k, v in filled.items())
    assert len(filled) - ours_alone + without_place + len(imported.left_over) == len(tensors)
    images = torch.rand(2, 3, 96, 96)
    network = network_of(imported.bundle.cfg, imported.bundle.weights)
    with torch.no_grad():
        _, taps = network.forward_with_taps(images, found.stages)
        maps = library_maps(theirs, network.normalise(images))
    for stride, index in zip((8, 16, 32), found.stages, strict=True):
        ours = taps[index]
        assert ours.shape[2] == 96 // stride
        scale = ours.abs().max()
        assert ours.std() > 1e-3 * scale
        same = [m for m in maps if m.shape == ours.shape]
        assert min((m - ours).abs().max() for m in same) <= 1e-4 * max(1.0, scale)


# Pictures that hold something of ImageNet's classes, and a class that is among the best five.
TOP_5 = {"dog": "malamute", "eagle": "bald eagle", "giraffe": "zebra"}


def test_the_real_mobilenetv2_classifies_photographs(shared_root):
    path = shared_root / "weights/imagenet/mobilenet_v2-b0353104.pth"
    cfg = build("mobilenetv2")
    imported = import_backbone(Bundle(cfg, random_weights(cfg)), str(path))
    assert imported.n_sections == len(cfg)
    assert not imported.left_over
    network = network_of(imported.bundle.cfg, imported.bundle.weights)
    categories = tv.MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    for picture, expected in TOP_5.items():
        image = cv2.imread(str(shared_root / f"cfg/images_demo/{picture}.jpg"))
        scale = 256 / min(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = ((side - 224) // 2 for side in image.shape[:2])
        blob = to_blob(image[top : top + 224, left : left + 224])
        with torch.no_grad():
            (logits,) = network(torch.from_numpy(blob)[None])
        best = logits.flatten().topk(5).indices.tolist()
        assert expected in [categories[k] for k in best]


def test_a_bias_in_front_of_batchnorm_goes_into_its_mean():
    bundle = Bundle(build("vgg16"), {})
    state = {"a.weight": torch.zeros(64, 3, 3, 3), "a.bias": torch.ones(64),
             **{f"b.{k}": torch.full((64,), 3.0)
                for k in ("weight", "bias", "running_mean", "running_var")}}  # fmt: skip
    imported = import_state_dict(bundle, state, "x.pth")
    assert imported.bundle.weights["0.bn.running_mean"].tolist() == [2.0] * 64
    assert imported.n_sections == 1


def test_another_network_s_file_is_refused():
    bundle = Bundle(build("yolov3-ghostnet", 3, 64), {})
    state = tv.mobilenet_v2(weights=None).state_dict()
    with pytest.raises(WeightsError, match=r"section 0 .*no place for features\.0\.0.*53 kernels"):
        import_state_dict(bundle, state, "mobilenet.pth")


def test_files_of_either_kind(tmp_path):
    state = random_library_network("mobilenetv3-small").state_dict()
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    cfg = build("yolov3-tiny-mobilenetv3-small", 2, 64)
    bundle = Bundle(cfg, random_weights(cfg))
    first, second = (import_backbone(bundle, str(tmp_path / f"a.{end}")) for end in
                     ("pth", "safetensors"))  # fmt: skip
    assert first.n_sections == second.n_sections > 50
    assert all(torch.equal(v, second.bundle.weights[k]) for k, v in first.bundle.weights.items())
    assert first.bundle.history[-1].verb == "import"


def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    bundle = Bundle(build("mobilenetv2"), {})
    for path in tmp_path.iterdir():
        with pytest.raises(WeightsError, match=path.name):
            import_backbone(bundle, str(path))
    with pytest.raises(WeightsError, match="cannot be read"):
        import_backbone(bundle, str(tmp_path / "none.pth"))


def test_a_download_that_fails_says_so(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(tv, "get_model", refuse)
    with pytest.raises(RunError, match="no network here"):
        import_backbone(Bundle(build("mobilenetv2"), {}), "torchvision")
    with pytest.raises(InputError, match="is not in timm"):
        import_backbone(Bundle(build("mobilenetv2"), {}), "timm")


def test_the_libraries_have_what_the_tables_name():
    assert set(TORCHVISION.values()) <= set(tv.list_models())
    assert set(TIMM.values()) <= set(pytest.importorskip("timm").list_models())
    for name in (*TORCHVISION, *TIMM):
        assert classifier(name).stages


def test_a_folded_network_takes_no_batchnorms():
    folded = Bundle(without_batchnorm(build("yolov3-resnet18", 2, 64)), {})
    state = tv.resnet18(weights=None).state_dict()
    with pytest.raises(WeightsError, match="no place for BatchNorm bn1: 20 are left over"):
        import_state_dict(folded, state, "resnet18.pth")


def _with_training_key(cfg: Cfg) -> Cfg:
    sections = list(cfg.sections)
    sections[4] = replace(sections[4], extras=(("stopbackward", "1"),))
    return replace(cfg, sections=tuple(sections))


def test_keys_that_only_train_change_nothing():
    cfg = build("mobilenetv3-small")
    ours = Bundle(_with_training_key(cfg), {})
    state = random_library_network("mobilenetv3-small").state_dict()
    imported = import_state_dict(ours, state, "a.pth")
    assert imported.bundle.cfg.net.bn_eps == classifier("mobilenetv3-small").net.bn_eps != 1e-5


def test_keys_that_only_train_change_nothing_between_bundles(tmp_path):
    cfg = build("resnet20")
    theirs = Bundle(cfg, random_weights(cfg))
    theirs.save(tmp_path / "b")
    imported = import_backbone(Bundle(_with_training_key(cfg), {}), str(tmp_path / "b"))
    assert imported.n_sections == len(cfg)
    assert imported.bundle.cfg[4].extras == (("stopbackward", "1"),)


def _spoilt(state, change):
    changed = {k: v.clone() for k, v in state.items()}
    change(changed)
    return changed


SPOILT = {
    "nan": (lambda s: s["features.0.0.weight"].view(-1)[:1].fill_(float("nan")), "not finite"),
    "negative variance": (lambda s: s["features.0.1.running_var"].fill_(-1), "negative variances"),
    "bias of another length": (
        lambda s: s.update({"features.0.1.bias": torch.zeros(7)}), r"shape \(7,\)"),
    "no variance": (lambda s: s.pop("features.0.1.running_var"), "features.0.1 has no running_var"),
    "no gamma": (lambda s: s.pop("features.0.1.weight"), "features.0.1 has no weight"),
    "flat kernel": (
        lambda s: s.update({"features.0.0.weight": torch.zeros(16, 27)}), "no place for"),
}  # fmt: skip


@pytest.mark.parametrize("fault", SPOILT)
def test_numbers_that_no_network_can_have_are_refused(fault):
    change, told = SPOILT[fault]
    state = _spoilt(random_library_network("mobilenetv3-small").state_dict(), change)
    with pytest.raises(WeightsError, match=told):
        import_state_dict(Bundle(build("mobilenetv3-small"), {}), state, "a.pth")


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, 2, dtype=torch.complex64), torch.eye(2).to_sparse(),
     torch.zeros(2, device="meta")],
    ids=["complex", "sparse", "meta"],
)  # fmt: skip
def test_tensors_that_are_no_plain_numbers_are_refused(tensor, tmp_path):
    torch.save({"a.weight": tensor}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth"):
        import_backbone(Bundle(build("mobilenetv2"), {}), str(tmp_path / "a.pth"))


def test_an_empty_file_and_an_empty_name_are_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"")
    bundle = Bundle(build("mobilenetv2"), {})
    with pytest.raises(WeightsError, match="no plain tensors"):
        import_backbone(bundle, str(tmp_path / "a.pth"))
    with pytest.raises(InputError, match="names no file"):
        import_backbone(bundle, "")


def test_a_network_of_grey_pictures_keeps_its_own_range():
    cfg = parse("[net]\nchannels=1\n[convolutional]\nfilters=4\nsize=3\npad=1\n")
    imported = import_state_dict(
        Bundle(cfg, {}), {"a.weight": torch.zeros(4, 1, 3, 3), "a.bias": torch.zeros(4)}, "a.pth"
    )
    verify(imported.bundle.cfg)
    assert imported.bundle.cfg.net.mean == ()
