import csv
from io import StringIO

import pytest
import torch
from rich.console import Console
from torch.utils.data import Dataset

from yolo_slim.data.loader import collate
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.train.loop import train
from yolo_slim.train.loss import detection_loss
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import zero_like
from yolo_slim.train.targets import assign
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


class Squares(Dataset):
    """Four grey pictures with a bright square each."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        image = torch.full((3, 32, 32), 90, dtype=torch.uint8)
        image[:, 4 + index : 20 + index, 8:24] = 250
        return image, torch.tensor([[index % 2, 8.0, 4.0 + index, 24.0, 20.0 + index]]), ()


def test_a_dead_channel_is_dead_in_the_average():
    average = [torch.tensor([0.3, 0.3])]
    zero_like(average, [torch.tensor([0.0, 1.0])])
    assert average[0].tolist() == [0.0, pytest.approx(0.3)]


def test_an_object_goes_to_its_best_anchor_and_the_cell_of_its_centre():
    cfg = build("yolov3-tiny", 2, 416)
    targets = torch.tensor([[0, 1, 100.0, 100.0, 181.0, 182.0]])  # the shape of anchor 81,82
    coarse, fine = assign(targets, cfg, [(13, 13), (26, 26)])
    assert len(fine.image) == 0
    assert (coarse.anchor.item(), coarse.row.item(), coarse.column.item()) == (0, 4, 4)


def test_no_object_is_legal_and_every_gradient_is_finite():
    cfg = build("yolov3-nano", 2, 32)
    network = network_of(cfg, random_weights(cfg)).train()
    terms = detection_loss(network(torch.rand(2, 3, 32, 32)), torch.zeros(0, 6), cfg)
    torch.stack(list(terms.values())).sum().backward()
    assert terms["box"] == 0 and terms["classes"] == 0 and terms["objectness"] > 0
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_resume_ends_where_an_undisturbed_training_ends(random_bundle, tmp_path, monkeypatch):
    bundle = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    settings = TrainSettings(epochs=3, batch_size=2, sparsity=0.3, precision="float32")
    whole = train(bundle, Squares(), collate, settings, tmp_path / "whole")

    calls = []

    class Stop(Exception):
        pass

    from yolo_slim.train import module

    step = module.DetectorModule.training_step

    def broken(self, batch, index):
        calls.append(index)
        if len(calls) == 6:  # in the middle of the third epoch
            raise Stop
        return step(self, batch, index)

    monkeypatch.setattr(module.DetectorModule, "training_step", broken)
    with pytest.raises(Stop):
        train(bundle, Squares(), collate, settings, tmp_path / "cut")
    monkeypatch.setattr(module.DetectorModule, "training_step", step)
    resumed = train(bundle, Squares(), collate, settings, tmp_path / "cut", resume=True)
    assert all(torch.equal(whole.weights[k], resumed.weights[k]) for k in whole.weights)
    assert not torch.equal(whole.weights["0.conv.weight"], bundle.weights["0.conv.weight"])
    with (tmp_path / "cut/metrics.csv").open() as file:  # the log of both parts is one
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [0, 1, 2]
    assert not list((tmp_path / "cut").glob("metrics-*"))
    again = train(bundle, Squares(), collate, settings, tmp_path / "cut", resume=True)
    assert all(torch.equal(whole.weights[k], again.weights[k]) for k in whole.weights)


def test_a_teacher_stays_as_it_is_and_in_no_checkpoint(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    teacher = random_bundle(build("yolov3-nano", 2, 32), seed=1, dtype=torch.float32)
    before = {k: v.clone() for k, v in teacher.weights.items()}
    settings = TrainSettings(epochs=1, batch_size=2, precision="float32")
    guidance = Distiller(teacher, bundle.cfg, DistillSettings(), batch_size=2)
    train(bundle, Squares(), collate, settings, tmp_path / "a", guidance=guidance)
    assert all(torch.equal(before[k], teacher.weights[k]) for k in before)
    state = torch.load(tmp_path / "a/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in key for key in state)


def test_bf16_trains_as_float32_does(random_bundle, tmp_path):
    """Where the machine has no bf16 it is imitated: slower, with the same numbers."""
    bundle = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    ends = {}
    for precision in ("bf16", "float32"):
        settings = TrainSettings(epochs=2, batch_size=2, sparsity=0.3, precision=precision)
        out = train(bundle, Squares(), collate, settings, tmp_path / precision)
        assert all(v.dtype == torch.float32 for v in out.weights.values() if v.is_floating_point())
        ends[precision] = torch.cat([v.flatten() for v in out.weights.values()])
    start = torch.cat([v.flatten() for v in bundle.weights.values()])
    moved = (ends["float32"] - start).norm()
    assert 0 < (ends["bf16"] - ends["float32"]).norm() < 0.5 * moved


def test_the_last_epoch_is_scored_and_an_old_score_tells_its_epoch(random_bundle, tmp_path):
    """Five epochs, scored twice: counted from the end, every second one."""
    bundle = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    settings = TrainSettings(epochs=5, batch_size=2, precision="float32", validations=2)
    console = Console(file=StringIO(), width=200)
    scores = iter((0.1, 0.2, 0.3, 0.4))
    train(
        bundle, Squares(), collate, settings, tmp_path, score=lambda _: {"AP": next(scores)},
        console=console,
    )  # fmt: skip
    with (tmp_path / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["AP"]]
    scored = {int(row["epoch"]) + 1: round(float(row["AP"]), 4) for row in rows}
    assert scored == {1: 0.1, 3: 0.2, 5: 0.3}
    lines = [line for line in console.file.getvalue().splitlines() if "loss" in line]
    assert [line.split("AP ")[1].split("  ")[0] for line in lines] == [
        "0.100", "0.100 (of epoch 1)", "0.200", "0.200 (of epoch 3)", "0.300",
    ]  # fmt: skip


def test_at_the_end_of_an_epoch_one_state_is_kept(random_bundle, tmp_path, monkeypatch):
    """A run that had been resumed within the epoch could not go on from the one before it."""
    from yolo_slim.train.checkpoint import KeepState

    bundle = random_bundle(build("yolov3-nano", 2, 32), dtype=torch.float32)
    kept, keep = [], KeepState._keep

    def counted(self, trainer):
        kept.append((trainer.global_step, trainer.fit_loop.epoch_progress.current.processed))
        keep(self, trainer)

    monkeypatch.setattr(KeepState, "_keep", counted)
    settings = TrainSettings(
        epochs=2, batch_size=2, precision="float32", checkpoint_minutes=1e-9
    )  # two steps an epoch
    train(bundle, Squares(), collate, settings, tmp_path / "run")
    assert kept == [(1, 0), (2, 1), (3, 1), (4, 2)]
