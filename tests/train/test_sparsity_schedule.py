"""Schedules are functions of the step and of the gammas, and nothing else."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from core_zoo import by_night
from rich.console import Console
from sparse_training import TINY, Pictures, lr_sum, trained

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import channel_macs, couple, parse
from yolo_slim.data.loader import collate
from yolo_slim.errors import InputError
from yolo_slim.nn.network import Network
from yolo_slim.train.gammas import judged
from yolo_slim.train.loop import train
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.optimizer import parameter_groups
from yolo_slim.train.schedule import lr_share
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.sparsity import Sparsity, channel_weights, gamma_lr
from yolo_slim.train.sparsity_schedule import pull_sum, relaxing_share, strengths
from yolo_slim.train.sparsity_settings import SparsitySettings
from yolo_slim.train.travel import announce_travel
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

NAMES = ("constant", "global", "local")


def settings_with(sparsity: float = 0.5, **how) -> TrainSettings:
    return TrainSettings(epochs=4, sparsity=sparsity, sparse=SparsitySettings(**how))


def test_every_schedule_by_hand():
    sizes = torch.tensor([0.4, 0.1, 0.9, 0.2, 0.3])
    late = {
        "constant": [1, 1, 1, 1, 1],
        "global": [0.01] * 5,
        "local": [0.01, 1, 0.01, 1, 1],  # 0.6 of five are the three smallest
    }
    for name, expected in late.items():
        how = SparsitySettings(name, 0.6 if name == "local" else 0.85)
        relaxing = relaxing_share(how)
        assert strengths(sizes, 0.499, relaxing).tolist() == [1] * 5
        for progress in (0.5, 1.0):
            assert strengths(sizes, progress, relaxing).tolist() == pytest.approx(expected)


def test_local_holds_what_ties_with_the_last_that_is_held():
    sizes = torch.zeros(100)
    sizes[:10] = 1
    held = strengths(sizes, 0.7, relaxing_share(SparsitySettings("local", 0.5)))
    assert held.tolist() == [pytest.approx(0.01)] * 10 + [1] * 90


def test_weights_are_one_on_average_and_follow_the_macs():
    for name in ("yolov3-nano", "yolov3-tiny-mobilenetv2"):
        cfg = build(name, 2, 64)
        gammas = judged(cfg)
        alone, together = np.arange(len(gammas)), gammas.classes
        for classes in (alone, together):
            weights = channel_weights(gammas, "macs", classes)
            assert weights.mean() == pytest.approx(1) and weights.min() > 0
            assert channel_weights(gammas, "none", classes).tolist() == [1] * len(gammas)
        costs = channel_macs(cfg, couple(cfg))
        weights = channel_weights(gammas, "macs", alone)
        assert np.corrcoef(weights, gammas.macs)[0, 1] == pytest.approx(1)
        first = gammas.sections[0]
        assert gammas.macs[0] == costs[first][0]
        shared = channel_weights(gammas, "macs", together)
        for cls in np.flatnonzero(np.bincount(together) > 1)[:20]:
            mine = together == cls
            assert shared[mine] == pytest.approx(weights[mine].mean())


def test_gamma_and_beta_do_not_decay():
    network = Network(build("yolov3-nano", 2, 64))
    for sparsity in (0.0, 0.1):
        for optimizer in ("adamw", "sgd"):
            settings = TrainSettings(epochs=1, sparsity=sparsity, optimizer=optimizer)
            decays = {
                id(p): group["weight_decay"]
                for group in parameter_groups(network, settings)
                for p in group["params"]
            }
            for name, parameter in network.named_parameters():
                kernel = name.endswith("conv.weight")
                assert decays[id(parameter)] == (settings.weight_decay if kernel else 0.0), name


def test_kernels_alone_decay():
    """A bias for each place of [local], and a factor for each channel of a [shortcut], are none."""
    cfg = parse(
        "[net]\nwidth=8\nheight=8\n" + 2 * "[convolutional]\nfilters=4\nsize=1\n"
        + "[shortcut]\nfrom=-2\nweights_type=per_channel\n"
        + "[local]\nfilters=2\nsize=1\n[connected]\noutput=3\n"
    )  # fmt: skip
    network, settings = Network(cfg), TrainSettings(epochs=1)
    names = {id(p): name for name, p in network.named_parameters()}
    decaying = {names[id(p)] for p in parameter_groups(network, settings)[0]["params"]}
    kernels = {"0.conv.weight", "1.conv.weight", "3.weight", "4.connected.weight"}
    assert decaying == kernels < set(names.values())
    assert {"2.weight", "3.bias"} < set(names.values())


# --- what a training does with it -----------------------------------------------------------------


def indifferent(self, batch, batch_idx):
    return 0.0 * sum(p.sum() for p in self.network.parameters())


@pytest.mark.parametrize("step", ["proximal", "sign"])
@pytest.mark.parametrize("schedule", NAMES)
def test_gammas_without_a_loss_travel_the_integral_of_the_schedule(
    schedule, step, tmp_path, monkeypatch
):
    monkeypatch.setattr(DetectorModule, "training_step", indifferent)
    how = SparsitySettings(schedule, step=step)
    _, bundle = trained(tmp_path, monkeypatch, sparse=how, ema_decay=0.0, epochs=5, sparsity=0.7)
    lr = gamma_lr(TrainSettings(epochs=5, sparsity=0.7))
    rates = [lr * lr_share(number, 20, 4) for number in range(20)]
    shares = [0.01 if schedule == "global" and number >= 10 else 1 for number in range(20)]
    planned = 0.7 * sum(a * b for a, b in zip(rates, shares, strict=True))
    assert planned == pytest.approx(
        0.7 * pull_sum(lambda number: rates[number], 20, relaxing_share(how))
    )
    assert 0.01 < planned < 0.9
    for index in (0, 1):
        travelled = 1 - bundle.weights[f"{index}.bn.weight"]
        assert travelled.tolist() == pytest.approx([planned] * 4, rel=1e-3)


def test_local_lets_go_of_the_largest_halfway(tmp_path, monkeypatch):
    """Of eight gammas two start larger: they travel the first half alone, and a hundredth."""
    monkeypatch.setattr(DetectorModule, "training_step", indifferent)
    weights = random_weights(TINY)
    weights["1.bn.weight"] = torch.tensor([1.0, 3.0, 1.0, 2.0])
    settings = TrainSettings(epochs=5, batch_size=2, sparsity=0.7, precision="float32",
                             validations=0, ema_decay=0.0,
                             sparse=SparsitySettings("local", 0.75))  # fmt: skip
    out = train(Bundle(TINY, weights), Pictures(), collate, settings, tmp_path)
    lr = gamma_lr(settings)
    whole, relaxed = (
        0.7 * pull_sum(lambda number: lr * lr_share(number, 20, 4), 20, share) for share in (0, 1)
    )
    travelled = weights["1.bn.weight"] - out.weights["1.bn.weight"]
    assert travelled.tolist() == pytest.approx([whole, relaxed, whole, relaxed], rel=1e-3)
    assert relaxed < 0.9 * whole


@pytest.mark.parametrize(("accumulate", "loss_scale"), [(1, 1.0), (4, 1.0), (1, 1000.0)])
def test_an_undefended_gamma_knows_neither_accumulation_nor_the_scale_of_the_loss(
    accumulate, loss_scale, tmp_path, monkeypatch
):
    """All else learns from a real loss; gammas are cut off from it. Two steps an epoch in all."""
    step, setup = DetectorModule.training_step, DetectorModule.setup

    def scaled(self, batch, index):
        return loss_scale * step(self, batch, index)

    def cut_off(self, stage):
        setup(self, stage)
        for gamma in self.sparsity.gammas.parameters(self.network):
            gamma.register_hook(torch.zeros_like)

    monkeypatch.setattr(DetectorModule, "training_step", scaled)
    monkeypatch.setattr(DetectorModule, "setup", cut_off)
    _, bundle = trained(
        tmp_path, monkeypatch, batch_size=4 // accumulate, accumulate=accumulate, epochs=6,
        sparse=SparsitySettings("global"), ema_decay=0.0,
    )  # fmt: skip
    n_warmup = 2
    lr = gamma_lr(settings_with())
    planned = 0.5 * pull_sum(lambda number: lr * lr_share(number, 12, n_warmup), 12, 1.0)
    travelled = 1 - torch.cat([bundle.weights[f"{i}.bn.weight"] for i in (0, 1)])
    assert travelled.tolist() == pytest.approx([planned] * 8, rel=1e-3)
    assert not torch.equal(bundle.weights["0.conv.weight"], random_weights(TINY)["0.conv.weight"])


def test_costly_channels_travel_further(tmp_path, monkeypatch):
    monkeypatch.setattr(DetectorModule, "training_step", indifferent)
    how = SparsitySettings(weight="macs")
    _, bundle = trained(tmp_path, monkeypatch, sparse=how, ema_decay=0.0, sparsity=0.3)
    gammas = judged(TINY)
    travelled = 1 - gammas.of_weights(bundle.weights).double().numpy()
    assert travelled / travelled.mean() == pytest.approx(gammas.macs / gammas.macs.mean(), rel=1e-3)


RESIDUAL = build("yolov3-nano", 2, 32)


def test_a_residual_stage_loses_whole_channels_by_the_group_penalty():
    """Of each channel one gamma is pushed by a loss, the others are not: alone they die one by one
    and no channel does; together the channel lives or dies."""
    gammas = judged(RESIDUAL)
    sizes = np.bincount(gammas.classes)
    shared = sizes[gammas.classes] > 1
    draw = torch.Generator().manual_seed(0)
    start = 0.02 * torch.rand(len(gammas), generator=draw)
    first = np.unique(gammas.classes, return_index=True)[1]
    start[torch.from_numpy(first)] = 0.5

    dead = {}
    for penalty in ("l1", "group"):
        network = Network(RESIDUAL)
        gammas.write(network, start)
        sparsity = Sparsity(RESIDUAL, settings_with(1.0, penalty=penalty), 30)
        for number in range(30):
            sparsity.step(network, 0.01, number)
        values = gammas.of_network(network).numpy()
        n_dead = np.bincount(gammas.classes, weights=values == 0)
        dead[penalty] = (n_dead[sizes > 1], sizes[sizes > 1])
    assert shared.any()
    partly, members = dead["l1"]
    assert (partly == members - 1).all()  # every one but the pushed: nothing can be cut
    whole, members = dead["group"]
    assert set((whole / members).tolist()) <= {0.0, 1.0} and (whole == members).any()


def test_gammas_of_channels_that_cannot_go_are_left_alone():
    """A shortcut into the head ties the first six of ten channels to it."""
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n"
        "[convolutional]\nbatch_normalize=1\nfilters=10\nsize=1\nstride=4\nactivation=leaky\n"
        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nactivation=linear\n"
        "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
    )
    network = Network(cfg)
    sparsity = Sparsity(cfg, settings_with(0.5), 10)
    assert len(sparsity.gammas) == 4
    for number in range(4):
        sparsity.step(network, 0.1, number)
    gammas = network.get_parameter("0.bn.weight").tolist()
    assert gammas == [1] * 6 + [pytest.approx(0.8)] * 4


@pytest.mark.parametrize(
    "how",
    [
        SparsitySettings("local", 0.6, "macs", "group"),
        *by_night(
            SparsitySettings("global", step="sign"),
            SparsitySettings("local", penalty="group", patience=1),
        ),
    ],
)
def test_a_resumed_training_ends_as_an_undisturbed_one(how, tmp_path, monkeypatch, random_bundle):
    bundle = random_bundle(RESIDUAL, dtype=torch.float32)
    settings = TrainSettings(
        epochs=6, batch_size=2, sparsity=0.9, lr=4e-3, precision="float32", sparse=how,
        checkpoint_minutes=1e-9,
    )  # fmt: skip

    class Small(Pictures):
        def __len__(self) -> int:
            return 4

    whole = train(bundle, Small(), collate, settings, tmp_path / "whole")
    calls, step = [], DetectorModule.training_step

    class Stop(Exception):
        pass

    def broken(self, batch, index):
        calls.append(index)
        if len(calls) == 8:  # after the middle, within an epoch
            raise Stop
        return step(self, batch, index)

    monkeypatch.setattr(DetectorModule, "training_step", broken)
    with pytest.raises(Stop):
        train(bundle, Small(), collate, settings, tmp_path / "cut")
    monkeypatch.setattr(DetectorModule, "training_step", step)
    resumed = train(bundle, Small(), collate, settings, tmp_path / "cut", resume=True)
    assert all(torch.equal(whole.weights[k], resumed.weights[k]) for k in whole.weights)
    assert whole.history == resumed.history
    with (tmp_path / "whole/metrics.csv").open() as one, (tmp_path / "cut/metrics.csv").open() as b:
        logs = [[r["channels_free"] for r in csv.DictReader(file)] for file in (one, b)]
    assert logs[0] == logs[1] and all(logs[0])


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path, random_bundle):
    bundle = random_bundle(TINY, dtype=torch.float32)
    settings = TrainSettings(epochs=1, batch_size=4, sparsity=0.1, precision="float32")
    train(bundle, Pictures(), collate, settings, tmp_path)
    other = replace(settings, sparse=SparsitySettings("global"), epochs=2)
    with pytest.raises(InputError, match="begun with --sparsity-schedule constant, and now it is"):
        train(bundle, Pictures(), collate, other, tmp_path, resume=True)


# --- what is told and refused ---------------------------------------------------------------------


def test_options_that_would_do_nothing_are_refused():
    with pytest.raises(InputError, match="--sparsity-schedule local means nothing without"):
        TrainSettings(epochs=1, sparse=SparsitySettings("local"))
    with pytest.raises(InputError, match=r"--sparsity-fraction 0.5 .* it is for local"):
        SparsitySettings("global", 0.5)
    with pytest.raises(InputError, match=r"--sparsity-fraction 1.0 is out of range"):
        SparsitySettings("local", 1.0)


def told(settings: TrainSettings, n_steps: int, cfg=TINY) -> str:
    console = Console(file=StringIO(), width=400)
    sparsity = Sparsity(cfg, settings, n_steps)
    announce_travel(settings, sparsity, lambda n: lr_share(n, n_steps, 3), n_steps, console)
    return console.file.getvalue()


@pytest.mark.parametrize(("n_steps", "stronger_helps"), [(10, False), (60, True)])
def test_too_little_travel_is_told_with_advice_that_can_be_followed(n_steps, stronger_helps):
    settings = TrainSettings(epochs=1, lr=1e-3, sparsity=0.1)
    text = told(settings, n_steps)
    travel = 0.1 * lr_sum(gamma_lr(settings), n_steps, 3)
    assert 1 <= int(text.split("Use about ")[1].split()[0]) * travel < 1 + travel
    assert ("or sparsity" in text) == stronger_helps
    if stronger_helps:
        assert float(text.split("or sparsity ")[1]) == pytest.approx(0.1 / travel, rel=0.1)
        assert float(text.split("or sparsity ")[1]) < 1


def test_a_schedule_that_relaxes_early_is_told_to_travel_less():
    def travel(text: str) -> float:
        return float(text.split("travels ")[1].split()[0])

    texts = {name: told(settings_with(0.1, schedule=name), 400) for name in NAMES}
    assert travel(texts["constant"]) == travel(texts["local"])
    assert 0.5 < travel(texts["global"]) / travel(texts["constant"]) < 0.9
    short = {name: told(settings_with(0.1, schedule=name), 230) for name in NAMES}
    assert ["Use about" in short[name] for name in NAMES] == [False, True, False]


def test_what_would_crush_a_part_is_told():
    assert "warning" not in told(settings_with(0.3), 400)
    assert "no gamma can be defended" in told(settings_with(1.0), 400)
    spread = told(settings_with(0.8, weight="macs"), 400)
    assert "by what its channel costs" in spread
    assert "50.0% of the channels cost so much that hardly a gamma of theirs can be" in spread
    highest = judged(TINY).macs.max() / judged(TINY).macs.mean()
    limit = float(spread.split("sparsity below ")[1].split()[0])
    assert limit == pytest.approx(0.5 / highest, rel=0.05)
    assert "cost so much" not in told(settings_with(0.9 * limit, weight="macs"), 400)
