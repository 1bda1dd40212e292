"""What a training with a teacher changes, and what it must not."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from sparse_training import TINY, Pictures

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse
from yolo_slim.data.loader import collate
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.settings import DistillSettings, read_losses, read_taps
from yolo_slim.distill.teacher import Teacher
from yolo_slim.errors import InputError
from yolo_slim.nn.network import Network
from yolo_slim.train.loop import train
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

WIDE = parse(
    "[net]\nwidth=32\nheight=32\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=9\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=9\nsize=3\nstride=1\npad=1\nactivation=linear\n"
    + "[shortcut]\nfrom=-2\nactivation=linear\n"
    + "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
    + "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
)  # fmt: skip
"""Its head reads a sum: there the margin has to be measured."""


def teacher() -> Bundle:
    return Bundle(WIDE, random_weights(WIDE, seed=3))


def images(n: int = 64):
    draw = torch.Generator().manual_seed(9)
    return lambda: (torch.rand(16, 3, 32, 32, generator=draw) for _ in range(n // 16))


def distiller(losses: str = "overhaul,logits", student=TINY, **options) -> Distiller:
    settings = DistillSettings(read_losses(losses), **options)
    return Distiller(teacher(), student, settings, 2, images())


def run(tmp_path, guidance, name="run", **changes) -> Bundle:
    settings = TrainSettings(
        **{"epochs": 2, "batch_size": 2, "precision": "float32", "validations": 0, **changes}
    )
    student = Bundle(TINY, random_weights(TINY))
    return train(
        student, Pictures(), collate, settings, tmp_path / name, guidance=guidance,
        resume=changes.get("epochs") == 3,
    )  # fmt: skip


def test_gradients_reach_student_and_connectors_alone():
    guidance = distiller()
    network = Network(TINY).train()
    draw = torch.Generator().manual_seed(1)
    batch = torch.rand(2, 3, 32, 32, generator=draw)
    raws, maps = network.forward_with_taps(batch, guidance.taps, before_activation=True)
    targets = torch.tensor([[0, 0, 6.0, 6.0, 22.0, 22.0]])
    own = torch.tensor(3.0)
    terms = guidance.terms(guidance.ask(batch), raws, maps, targets, own, (32, 32))
    assert set(terms) == {"overhaul", "teacher_objectness", "teacher_classes", "teacher_boxes"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is None for p in guidance.teacher.network.parameters())
    for parameter in (*network.parameters(), *guidance.connectors.parameters()):
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    assert all(p.grad.any() for p in guidance.connectors.parameters() if p.ndim > 1)


def test_the_overhaul_begins_at_its_share_and_the_scale_stays():
    guidance = distiller("overhaul=0.25")
    network = Network(TINY).train()
    for seed, own in ((1, 8.0), (2, 5.0)):
        batch = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        raws, maps = network.forward_with_taps(batch, guidance.taps, before_activation=True)
        terms = guidance.terms(
            guidance.ask(batch), raws, maps, torch.zeros(0, 6), torch.tensor(own), (32, 32)
        )
        if seed == 1:
            assert terms["overhaul"].item() == pytest.approx(0.25 * 8.0, rel=1e-5)
            scale = guidance.connectors.scale.item()
    assert guidance.connectors.scale.item() == scale
    assert terms["overhaul"].item() != pytest.approx(0.25 * 5.0, rel=1e-3)


def test_sizes_that_vary_are_whole_strides_of_the_teacher_too():
    """Those of YOLOv3-nano are 16 pixels, YOLOv3-tiny's 32."""
    student, taught_by = (build(f"yolov3-{name}", 2, 96) for name in ("nano", "tiny"))
    guidance = Distiller(
        Bundle(taught_by, random_weights(taught_by)), student, DistillSettings(), batch_size=2
    )
    settings = TrainSettings(epochs=1, multi_scale=1.4)
    for teacher, stride in ((None, 16), (guidance, 32)):
        module = DetectorModule(Bundle(student, random_weights(student)), settings, 1, teacher)
        sides = {module.multi_scale.size_hw(step)[0] for step in range(0, 300, 10)}
        assert len(sides) > 1 and math.gcd(*sides) == stride


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_nothing_in_the_teacher_changes(tmp_path, statistics):
    guidance = distiller(statistics=statistics)
    before = {k: v.clone() for k, v in guidance.teacher.network.state_dict().items()}
    run(tmp_path, guidance)
    after = guidance.teacher.network.state_dict()
    counters = {k for k in before if k.endswith("num_batches_tracked")}
    assert all(torch.equal(before[k], after[k]) for k in before.keys() - counters)


def test_statistics_of_the_batch_are_what_the_teacher_normalises_by():
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 3
    network = Network(WIDE).train()
    network.load_state_dict(teacher().weights, strict=False)
    expected = network(batch)
    found, _ = Teacher(teacher(), batch_statistics=True)(batch)
    torch.testing.assert_close(found[0], expected[0].detach())
    assert [DistillSettings().batch_statistics(n) for n in (31, 32)] == [False, True]


def test_connectors_are_in_the_checkpoint_and_not_in_the_bundle(tmp_path):
    trained = run(tmp_path, distiller())
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert any(key.startswith("connectors.of.0") for key in state)
    assert set(trained.weights) == set(random_weights(TINY))
    assert trained.history[-1].settings["loss"] == "overhaul=0.5,logits=1"
    log = (tmp_path / "run/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"overhaul", "teacher_objectness", "teacher_classes", "teacher_boxes"} <= set(log)


def test_resumed_it_ends_where_it_would_have(tmp_path, monkeypatch):
    whole = run(tmp_path, distiller(), "whole", epochs=3)
    step, calls = DetectorModule.training_step, []

    def broken(self, batch, index):
        calls.append(index)
        if len(calls) == 6:  # in the middle of the second epoch
            raise RuntimeError("cut off")
        return step(self, batch, index)

    monkeypatch.setattr(DetectorModule, "training_step", broken)
    with pytest.raises(RuntimeError, match="cut off"):
        run(tmp_path, distiller(), "cut", epochs=3)
    monkeypatch.setattr(DetectorModule, "training_step", step)
    resumed = run(tmp_path, distiller(), "cut", epochs=3)
    assert all(torch.equal(whole.weights[k], resumed.weights[k]) for k in whole.weights)


def test_it_is_learned_from_without_labels(tmp_path):
    """The features come nearer to the teacher's, and what reads them in the head stays."""
    guidance = distiller("overhaul")
    trained = run(tmp_path, guidance, labels=False, epochs=1)
    start = random_weights(TINY)
    assert (
        torch.equal(trained.weights["2.conv.weight"], start["2.conv.weight"])
        or (trained.weights["2.conv.weight"] - start["2.conv.weight"]).abs().max() < 1e-3
    )  # weight decay alone
    assert (trained.weights["0.conv.weight"] - start["0.conv.weight"]).abs().max() > 1e-3


def test_a_sum_of_branches_needs_images():
    settings = DistillSettings(read_losses("overhaul"))
    with pytest.raises(InputError, match=r"section 3 of the teacher .* has to be measured: 64"):
        Distiller(teacher(), TINY, settings, 2)
    with pytest.raises(InputError, match="48 images are too few"):
        Distiller(teacher(), TINY, settings, 2, images(48))


def test_classifiers_answer_in_classes_and_in_as_many():
    ten, seven = (build("preresnet20", n, 32) for n in (10, 7))
    bundle = Bundle(ten, random_weights(ten))
    with pytest.raises(InputError, match="--loss boxes is for detectors"):
        Distiller(bundle, ten, DistillSettings(read_losses("boxes")), 2)
    with pytest.raises(InputError, match=r"has 7 classes, the teacher .* 10"):
        Distiller(bundle, seven, DistillSettings(), 2)


def test_two_of_a_kind():
    classifier = build("resnet18", 10, 32)
    with pytest.raises(InputError, match=r"is a detector, the teacher .* a classifier"):
        Distiller(Bundle(classifier, random_weights(classifier)), TINY, DistillSettings(), 2)


@pytest.mark.parametrize("losses", ["logits", "overhaul"])
@pytest.mark.parametrize("cfg", [TINY, build("resnet18", 10, 32)])
def test_a_student_that_sees_no_colours_is_refused(cfg, losses):
    grey = replace(cfg, net=replace(cfg.net, channels=1))
    settings = DistillSettings(read_losses(losses))
    with pytest.raises(InputError, match=r"takes images of 1 channels, the teacher .* of 3"):
        Distiller(Bundle(cfg, random_weights(cfg)), grey, settings, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names nothing"), ("overhal", "--loss overhal: expected one or more of overhaul"),
        ("logits=x", "expected NAME=NUMBER"), ("logits=-1", "a weight of 0"),
        ("logits,classes", "named twice"), ("overhaul,overhaul", "named twice"),
        ("logits=nan", "a weight of 0"),
    ],
)  # fmt: skip
def test_losses_that_are_none(text, told):
    with pytest.raises(InputError, match=told):
        DistillSettings(read_losses(text))


@pytest.mark.parametrize("text", ["3", "3:", "a:b", "3:4:5", "-1:2"])
def test_taps_that_are_none(text):
    with pytest.raises(InputError, match="expected STUDENT:TEACHER"):
        read_taps(text)


def test_losses_and_taps_as_typed():
    assert read_losses("overhaul, logits=0.25") == (("overhaul", 0.5), ("logits", 0.25))
    assert read_taps("3:4,10:20") == ((3, 4), (10, 20))


def test_answers_that_are_kept_are_the_answers(tmp_path):
    settings = DistillSettings(read_losses("overhaul,logits"))

    def make(cache=None):
        return Distiller(teacher(), TINY, settings, 2, images(), cache=cache)

    plain = run(tmp_path, make(), "plain")
    cached = make(tmp_path / "answers")
    kept = run(tmp_path, cached, "kept")
    assert all(torch.equal(plain.weights[k], kept.weights[k]) for k in plain.weights)
    assert cached.teacher.n_asked == len(Pictures())  # in two epochs, once a picture
    again = make(tmp_path / "answers")
    run(tmp_path, again, "again")
    assert again.teacher.n_asked == 0


def test_answers_by_a_batch_are_not_kept(tmp_path):
    settings = DistillSettings(read_losses("overhaul"), statistics="batch")
    with pytest.raises(InputError, match="hold for that batch alone"):
        Distiller(teacher(), TINY, settings, 2, images(), cache=tmp_path)


def test_answers_without_maps_are_no_answers_with_them(tmp_path):
    folders = [
        Distiller(
            teacher(), TINY, DistillSettings(read_losses(losses), position=position), 2, images(),
            cache=tmp_path,
        ).teacher.folder
        for losses, position in (("logits", "before"), *product(["overhaul"], ["before", "after"]))
    ]  # fmt: skip
    assert len(set(folders)) == 3
