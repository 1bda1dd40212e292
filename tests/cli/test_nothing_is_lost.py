"""No command replaces what it reads, nor a folder that is not its own; told before the work."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render
from yolo_slim.cli import main
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.video.sink import Sink
from yolo_slim.video.source import Frame, VideoInfo
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

RECIPE = 'title = "t"\n[data]\n{data}\n[model]\nzoo = "yolov3-nano"\nsize = 64\n{steps}'


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A bundle, a Darknet pair, pictures, a video, links, and a small data set."""
    cfg = build("yolov3-nano", 2, 64)
    weights = random_weights(cfg)
    Bundle(cfg, weights).save(tmp_path / "model")
    Bundle(cfg, weights).save(tmp_path / "run" / "bundle")
    Bundle(cfg, weights).save(tmp_path / "other")
    (tmp_path / "my.cfg").write_text(render(cfg))
    (tmp_path / "typed.cfg").write_text("# by hand\n" + render(cfg))
    (tmp_path / "lone.weights").write_bytes(b"dear")
    write_darknet_weights(tmp_path / "my.weights", cfg, weights)
    (tmp_path / "pictures").mkdir()
    for name in ("a.jpg", "b.png", "c.jpg"):
        cv2.imwrite(str(tmp_path / "pictures" / name), np.full((40, 50, 3), 90, np.uint8))
    (tmp_path / "link").symlink_to(tmp_path / "pictures")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "pictures" / "a.jpg")
    with Sink(tmp_path) as sink:
        for k in range(9):
            image = np.full((48, 64, 3), 20 * k, np.uint8)
            sink.write(Frame(image, "my", k, VideoInfo(64, 48, 10, 9)), image)
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 50, "height": 40}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 30], "area": 1200,
             "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    (tmp_path / "two.json").write_text(json.dumps(document))
    (tmp_path / "none.json").write_text(json.dumps({**document, "annotations": []}))
    (tmp_path / "graph.txt").write_text("dear")
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "thesis.txt").write_text("dear")
    split = '{images = "pictures", annotations = "two.json"}'
    train = '[[step]]\nverb = "train"\nname = "a"\nepochs = 1\nbatch_size = 2\n'
    prune = '[[step]]\nverb = "prune"\nname = "b"\ntarget_macs = 0.0001\n'
    data = f"train = {split}\nval = {split}"
    (tmp_path / "recipe.toml").write_text(RECIPE.format(data=data, steps=train))
    (tmp_path / "far.toml").write_text(RECIPE.format(data=data, steps=train + prune))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def status(command: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    return int(caught.value.code or 0)


TWO = "--images pictures --annotations two.json"
REFUSED = {
    "pictures over themselves": ("detect model pictures --out pictures", "pictures/a.jpg"),
    "records by json": (
        "detect model pictures --out x --json x/detections.jsonl", "x/detections.jsonl"),
    "pictures through a link": ("detect model link --out pictures", "link/a.jpg"),
    "pictures into a link": ("detect model pictures --out link", "pictures/a.jpg"),
    "a link to a picture": ("detect model linked.jpg pictures --out pictures", "a.jpg"),
    "a video over itself": ("detect model my.mp4 --out .", "my.mp4"),
    "a pair over itself": ("convert my.cfg --weights my.weights --darknet my", "my.cfg"),
    "a pair into its bundle": ("convert model --darknet model/model", "model/model.cfg"),
    "a bundle by convert": ("convert model --out model", "model/history.json"),
    "a bundle by prune": ("prune model --out model", "model/history.json"),
    "a bundle by prune in a run": ("prune run --out run/bundle", "run/bundle"),
    "a bundle by quantize": ("quantize model --out model " + TWO, "model/history.json"),
    "a bundle by train": ("train run --epochs 1 --out run " + TWO, "run/bundle"),
    "a picture by the first batch": (
        "train yolov3-nano --size 64 --epochs 1 --out x --show-batch pictures/a.jpg " + TWO,
        "pictures/a.jpg, which this command reads"),
    "a run in a bundle": (
        "train yolov3-nano --size 64 --epochs 1 --out model " + TWO, "model is a bundle, and"),
    "a cfg of another bundle": (
        "scale yolov3-nano --phi -1 --out model/model.cfg", "model/model.cfg is part of the"),
    "weights by a table": (
        "profile my.cfg --weights my.weights --markdown model/model.safetensors", "is part of the"),
    "a recipe by a table": (
        "profile my.cfg --weights my.weights --markdown recipe.toml", "is no table of profile"),
    "a typed cfg by scale": ("scale yolov3-nano --phi -1 --out typed.cfg", "typed.cfg exists and"),
    "a typed cfg by anchors": (
        "data anchors --model yolov3-nano --out typed.cfg " + TWO, "typed.cfg exists and"),
    "a typed cfg by convert": ("convert model --darknet typed", "typed.cfg exists and"),
    "weights without their cfg": ("convert model --darknet lone", "lone.weights exists without"),
    "the folder of a cfg": ("convert other/model.cfg --weights my.weights --out other", "other"),
    "annotations by json": ("evaluate model --json two.json " + TWO, "two.json"),
    "a file that is no graph": ("export_onnx model --out graph.txt", ".onnx"),
    "compress into a folder": ("compress recipe.toml --out occupied", "no run of compress"),
    "json to a folder": ("evaluate model --json occupied " + TWO, "occupied is a folder"),
    "json under a file": ("evaluate model --json graph.txt/x.json " + TWO, "graph.txt/x.json"),
    "a bundle under a file": ("quantize model --out graph.txt/x " + TWO, "graph.txt/x: Not a dir"),
    "a pair without a name": ("convert model --darknet ..", "names no file"),
    "nothing to score": (
        "evaluate model --images pictures --annotations none.json", "none.json has no boxes"),
    "names that are not there": ("convert model --names nope.names --out x", "no such file"),
    "two targets": (
        "prune model --ratio 0.3 --target-macs 0.5 --out x",
        "--target-latency-ms; found --ratio 0.3, --target-macs 0.5"),
    "an energy beside a target": (
        "prune model --energy 0 --target-params 0.5 --out x", "found --energy 0, --target-par"),
    "an energy of all": ("prune model --energy 1 --out x", "--energy 1: "),
    "a target out of reach": ("compress far.toml --out x", "step 2 (b): 0.01% of the macs"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_written(case, place, capsys, monkeypatch):
    command, told = REFUSED[case]
    monkeypatch.setattr("yolo_slim.pipeline.quantizing.input_batches", None)  # no work is begun
    before = snapshot(place)
    assert status(command) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and told in message
    assert len(message.strip().splitlines()) <= 2
    assert snapshot(place) == before


def test_another_bundle_is_replaced_and_that_is_told(place, capsys):
    assert status("prune model --out other") == 0
    assert "other: replaced the bundle that was there" in capsys.readouterr().out
    assert status("prune model --out fresh") == 0
    assert "replaced" not in capsys.readouterr().out


def test_every_file_of_a_bundle_has_the_same_mode(place):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (place / "model").iterdir()}
    assert modes == {stat.S_IMODE((place / "two.json").stat().st_mode)}


def test_a_message_names_what_was_typed_and_no_temporary_file(place, capsys, monkeypatch):
    # As root every folder can be written: the system's answer is played.
    monkeypatch.setattr("os.access", lambda *_: False)
    assert status("export_onnx model --out ro/x.onnx") == 2
    assert capsys.readouterr().err == "error: ro/x.onnx: Permission denied\n"


def test_brackets_are_text(place, capsys):
    assert status("convert model --out c[/red]") == 0
    assert "c[/red]: " in capsys.readouterr().out
    assert status("prune model --out b[bold]") == 0
    told = capsys.readouterr().out
    assert "b[bold]: " in told and "read by [yolo]" in told


def test_absent_sizes_are_a_dash_and_in_json_minus_one(place, capsys):
    assert status("evaluate model --json ap.json " + TWO) == 0
    assert "-1.0" not in capsys.readouterr().out
    assert json.loads((place / "ap.json").read_text())["APl"] == -1


def test_a_corrupt_picture_among_good_ones_is_passed_over_and_told(place, capsys):
    content = (place / "pictures" / "c.jpg").read_bytes()
    (place / "pictures" / "b.jpg").write_bytes(content[: len(content) // 2])
    (place / "pictures" / "b.png").unlink()
    assert status("detect model pictures --out out --json told.json") == 1
    captured = capsys.readouterr()
    assert "passed over: pictures/b.jpg" in captured.out
    assert captured.err.startswith("error: 1 of 3 files")
    lines = (place / "out" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "c"]
    assert {path.name for path in (place / "out").iterdir()} == {
        "a.jpg", "c.jpg", "detections.jsonl"}  # fmt: skip
    told = json.loads((place / "told.json").read_text())
    assert told["pictures"] == [json.loads(line) for line in lines]
    assert told["objects"] == sum(len(picture["detections"]) for picture in told["pictures"])
    assert (told["frames"], told["videos"], len(told["passed_over"])) == (2, [], 1)


def test_a_video_that_ends_early_is_told_with_both_numbers(place, capsys, monkeypatch):
    from yolo_slim.cli import detect

    def cut(*arguments):
        yield from list(whole(*arguments))[:4]

    whole = detect.frames
    monkeypatch.setattr(detect, "frames", cut)
    assert status("detect model my.mp4 --out out") == 0
    assert "my.mp4 ends early: 4 of 9 frames" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_detected(place, capsys, monkeypatch):
    from yolo_slim.cli import detect

    def interrupted(*arguments):
        for frame in whole(*arguments):
            if frame.index == 5:
                raise KeyboardInterrupt
            yield frame

    whole = detect.frames
    monkeypatch.setattr(detect, "frames", interrupted)
    assert status("detect model my.mp4 --out out --json told.json --conf 0.01") == 130
    assert "stopped after 5 frames" in capsys.readouterr().err
    assert len((place / "out" / "detections.jsonl").read_text().splitlines()) == 5
    assert len(list(whole("out/my.mp4"))) == 5
    told = json.loads((place / "told.json").read_text())
    (video,) = told["videos"]
    assert (video["name"], video["frames"], video["objects"]) == ("my", 5, told["objects"])
    assert video["frames_per_second"] > 0 and told["written"] == ["out/my.mp4"]
    assert (told["runtime"], told["pictures"], told["frames"]) == ("torch", [], 5)


@pytest.mark.parametrize("command", ["train yolov3-nano --epochs 1 --out x ", "quantize model "])
@pytest.mark.parametrize("seed", ["99999999999999999999", "-1"])
def test_a_seed_out_of_range_is_told(command, seed, place, capsys):
    assert status(f"{command} --out x {TWO} --seed {seed}") == 2
    assert "--seed" in capsys.readouterr().err
    assert not (place / "x").exists()


def test_an_empty_stem_is_refused(place, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["convert", "model", "--darknet", ""])
    assert caught.value.code == 2
    assert "names no file" in capsys.readouterr().err


# --- going on with a training ---------------------------------------------------------------------

TRAIN = "train yolov3-nano --size 64 --batch-size 2 --workers 0 --precision float32 --out t " + TWO


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> list[Path]:
    return [tmp_path_factory.mktemp("trained") / "t"]


@pytest.fixture
def training(place: Path, trained: list[Path]) -> Path:
    """The folder of a training of two epochs, made once."""
    if not trained[0].exists():
        assert status(TRAIN + " --epochs 2") == 0
        shutil.copytree(place / "t", trained[0])
    else:
        shutil.copytree(trained[0], place / "t")
    return place / "t"


CONTRADICTIONS = {
    "another model": ("--epochs 3", "train yolov3-tiny", "of another model"),
    "sparsity": ("--epochs 3 --sparsity 0.3", None, "begun with --sparsity 0, and now it is 0.3"),
    "another rate": ("--epochs 3 --lr 0.01", None, "begun with --lr 0.001, and now it is 0.01"),
    "another size": ("--epochs 3 --size 96", None, "begun with --size 64x64, and now it is 96x96"),
    "fewer epochs": ("--epochs 1", None, "is of epoch 2, more than --epochs 1"),
    "another batch": ("--epochs 3 --batch-size 1", None, "begun with --batch-size 2, and now"),
    "another seed": ("--epochs 3 --seed 1", None, "begun with --seed 0, and now it is 1"),
    "other pictures": ("--epochs 3 --mosaic 0.9", None, "begun with augmentation"),
    "another optimizer": ("--epochs 3 --optimizer sgd", None, "begun with --optimizer adamw"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_the_checkpoint_is_refused(case, training, capsys):
    options, verb, told = CONTRADICTIONS[case]
    command = TRAIN if verb is None else TRAIN.replace("train yolov3-nano", verb)
    before = snapshot(training)
    assert status(f"{command} {options} --resume") == 2
    message = capsys.readouterr().err
    assert "t/checkpoints/last.ckpt" in message and told in message
    assert len(message.strip().splitlines()) == 1
    assert snapshot(training) == before


class Planted:
    def __reduce__(self):
        return Path, ("planted",)


@pytest.mark.parametrize("damage", ["empty", "cut", "planted", "other"])
def test_a_damaged_checkpoint_is_told_and_nothing_is_renamed(damage, training, capsys):
    import torch

    checkpoint = training / "checkpoints" / "last.ckpt"
    content = checkpoint.read_bytes()
    if damage == "planted":
        torch.save({"state_dict": Planted()}, checkpoint)
    elif damage == "other":
        torch.save([1, 2], checkpoint)
    else:
        checkpoint.write_bytes(content[: 0 if damage == "empty" else len(content) // 2])
    before = snapshot(training)
    assert status(f"{TRAIN} --epochs 3 --resume") == 2
    message = capsys.readouterr().err
    assert "t/checkpoints/last.ckpt is damaged" in message
    assert len(message.strip().splitlines()) == 1
    assert snapshot(training) == before


def test_it_goes_on_all_the_same_and_ctrl_c_tells_how(training, capsys, monkeypatch):
    from yolo_slim.train.module import DetectorModule

    def press(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DetectorModule, "training_step", press)
        assert status(f"{TRAIN} --epochs 3 --resume") == 130
    told = capsys.readouterr().err
    assert "--resume goes on" in told and len(told.strip().splitlines()) == 1
    assert status(f"{TRAIN} --epochs 3 --resume") == 0


def test_ctrl_c_in_compress_tells_how_to_go_on(place, capsys, monkeypatch):
    from yolo_slim.train.module import DetectorModule

    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(DetectorModule, "training_step", press)
    assert status("compress recipe.toml --out r --threads 1") == 130
    told = capsys.readouterr().err
    assert "the same command goes on" in told and len(told.strip().splitlines()) == 1


def test_every_option_has_a_help_text():
    from typer.main import get_command

    from yolo_slim.cli.app import app_of

    commands = dict(get_command(app_of()).commands)
    commands |= {f"data {name}": c for name, c in commands.pop("data").commands.items()}
    silent = [
        f"{name} {parameter.name}"
        for name, command in commands.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_a_cfg_that_was_written_is_replaced(place):
    for phi in (-1, -2):
        assert status(f"scale yolov3-nano --phi {phi} --out made.cfg") == 0
    for _ in range(2):
        assert status("convert model --darknet made2") == 0
