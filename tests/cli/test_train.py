"""What `train` tells, shows and survives."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import status

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import totals
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

TRAIN = (
    "train yolov3-nano --size 64 --batch-size 2 --workers 0 --precision float32 --epochs 2 "
    "--images pictures --annotations boxes.json --out t"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Six pictures with a box each."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    images, annotations = [], []
    for number in range(6):
        picture = np.full((40, 50, 3), 40 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
        images.append({"id": number + 1, "file_name": f"{number}.jpg", "width": 50, "height": 40})
        annotations.append(
            {"id": number + 1, "image_id": number + 1, "category_id": 1 + number % 2,
             "bbox": [5 + number, 5, 20 + number, 30], "area": 600, "iscrowd": 0}
        )  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_show_batch_draws_what_is_trained_on(place):
    assert status(f"{TRAIN} --show-batch seen.png --mosaic 0") == 0
    assert cv2.imread("seen.png").shape == (512, 1024, 3)  # two of 64 px, times 8
    assert status(f"{TRAIN.replace('--out t', '--out u')} --show-batch seen.docx") == 2
    assert not (place / "u").exists()


def test_profile_steps_tells_where_the_time_goes_and_trains_nothing(place, capsys):
    assert status(f"{TRAIN.replace('--epochs 2', '--epochs 9')} --profile-steps 4") == 0
    told = capsys.readouterr().out
    for part in ("data", "forward", "loss", "backward", "step", "images a second"):
        assert part in told
    assert "teacher" not in told
    assert not (place / "t" / "bundle").exists() and not (place / "t" / "checkpoints").exists()


def test_a_picture_lost_on_the_way_is_replaced_counted_and_named(place, capsys, monkeypatch):
    from yolo_slim.data import loader

    read = loader.read_image

    def lost(path, **options):
        if path.name == "3.jpg":
            path.unlink(missing_ok=True)
        return read(path, **options)

    monkeypatch.setattr(loader, "read_image", lost)
    assert status(f"{TRAIN} --cache off --mosaic 0") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "that could not be read: 1 (2 times in all)" in told and "3.jpg" in told
    assert (place / "t" / "bundle").is_dir()


def test_a_picture_broken_from_the_start_is_left_out_and_named(place, capsys):
    (place / "pictures" / "4.jpg").write_bytes(b"rubbish")
    assert status(TRAIN) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 images are left out" in told and "4.jpg" in told


def test_a_full_disk_keeps_the_last_good_state(place, capsys, monkeypatch):
    from yolo_slim.train import checkpoint

    save, calls = checkpoint.torch.save, []

    def full(state, path):
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(state, path)

    monkeypatch.setattr(checkpoint.torch, "save", full)
    assert status(TRAIN) == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message and len(message.strip().splitlines()) == 1
    kept = place / "t" / "checkpoints"
    assert [path.name for path in kept.iterdir()] == ["last.ckpt"]
    assert status(f"{TRAIN} --resume") == 0


def test_a_loss_that_is_no_number_stops_and_says_so(place, capsys):
    assert status(f"{TRAIN} --lr 9.9 --optimizer sgd --schedule cosine --accumulate 1") in (0, 1)
    from yolo_slim.train import module

    original = module.detection_loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "detection_loss",
            lambda *a: {k: v * float("nan") for k, v in original(*a).items()},
        )  # fmt: skip
        capsys.readouterr()
        assert status(TRAIN.replace("--out t", "--out nan")) == 1
    message = capsys.readouterr().err
    assert "the loss became nan at step 0" in message and "lower --lr" in message


def test_heads_are_made_for_other_classes(place, capsys):
    cfg = build("yolov3-nano", 3, 64)
    names = ("person", "dog", "cow")
    Bundle(cfg, random_weights(cfg), class_names=names).then("train", {}).save(place / "old")
    assert status(TRAIN.replace("yolov3-nano --size 64", "old")) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "3 classes become 2" in told and "these classes: dog" in told
    assert load_bundle(place / "t" / "bundle").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--multi-scale 0.5", "--multi-scale 0.5 is out of range"),
        ("--label-smoothing 1", "--label-smoothing 1.0 is out of range"),
        ("--focal-gamma -1", "--focal-gamma -1.0 is out of range"),
        ("--close-mosaic -2", "--close-mosaic -2 is out of range"),
        ("--box-loss eiou", "eiou"),
        ("--checkpoint-minutes 0", "--checkpoint-minutes 0.0 is out of range"),
        ("--strategy telepathy", "telepathy"),
        ("--sparsity-schedule local", "--sparsity-schedule local means nothing without --sparsity"),
        ("--sparsity 0.1 --sparsity-fraction 0.5", "means nothing to --sparsity-schedule constant"),
        ("--sparsity 0.1 --sparsity-schedule sometimes", "sometimes"),
        ("--cache tape", "tape"),
        ("--show-batch pictures", "pictures is a folder"),
        ("--json boxes.json", "boxes.json would replace boxes.json"),
        ("--show-batch a.png --json a.png", "a.png would replace a.png"),
        ("--profile-steps 3 --json a.json", "--profile-steps trains nothing"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(place, options, told, capsys):
    assert status(f"{TRAIN} {options}") == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (place / "t").exists()


@pytest.mark.parametrize("option", [
    "--mosaic 0.5", "--anchors fit", "--box-loss giou", "--focal-gamma 2", "--cells neighbours",
    "--zoom 2", "--close-mosaic 5", "--cache disk", "--images pictures",
])  # fmt: skip
def test_a_classifier_has_no_use_for_boxes(place, option, capsys):
    assert status(f"train resnet18 --data pictures --epochs 1 --out c {option}") == 2
    assert f"{option.split()[0]} is for detectors" in capsys.readouterr().err


def test_a_sparse_training_tells_what_may_go_and_what_it_costs(place, capsys):
    """Three options that all have to arrive, and a curve over the validation pictures."""
    side = "{images: pictures, annotations: boxes.json}"
    (place / "my.yaml").write_text(f"train: {side}\nval: {side}\n")
    command = TRAIN.replace("--images pictures --annotations boxes.json", "--data my.yaml")
    how = "--sparsity-schedule local --sparsity-weight macs --sparsity-penalty group"
    assert status(f"{command} --sparsity 0.02 {how} --sparsity-step sign") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "channels could go" in out and "of the channels are free" in out
    assert "by what its channel costs" in out
    document = json.loads((place / "t/sparsity.json").read_text())
    assert document["ap"]["curve"][0]["ratio"] == 0
    done = load_bundle(place / "t/bundle").history[-1].settings
    assert {key: done[key] for key in done if key.startswith("sparsity")} == {
        "sparsity": 0.02, "sparsity_schedule": "local", "sparsity_weight": "macs",
        "sparsity_penalty": "group", "sparsity_step": "sign",
    }  # fmt: skip


def test_json_tells_what_came_of_it_with_the_numbers_of_evaluate(place):
    side = "{images: pictures, annotations: boxes.json}"
    (place / "my.yaml").write_text(f"train: {side}\nval: {side}\n")
    described = TRAIN.replace("--images pictures --annotations boxes.json", "--data my.yaml")
    assert status(f"{described} --json t.json") == 0
    told = json.loads((place / "t.json").read_text())
    assert status("evaluate t --data my.yaml --runtime torch --json e.json") == 0
    evaluated = json.loads((place / "e.json").read_text())
    numbers = {key: told[key] for key in evaluated if key not in ("model", "runtime")}
    assert numbers == pytest.approx({key: evaluated[key] for key in numbers}, abs=1e-3)
    assert len(numbers) == 13
    cfg = load_bundle(place / "t/bundle").cfg
    assert {key: told[key] for key in told if key not in numbers} == {
        "out": "t", "bundle": "t/bundle", "epochs": 2,
        "totals": {
            "parameters": totals(cfg).parameters, "macs": totals(cfg).macs,
            "file_bytes": (place / "t/bundle/model.safetensors").stat().st_size,
        },
    }  # fmt: skip


def test_json_without_validation_has_no_numbers_and_is_of_the_first_process(place, monkeypatch):
    assert status(f"{TRAIN} --json t.json") == 0
    assert json.loads((place / "t.json").read_text()).keys() == {
        "out",
        "bundle",
        "epochs",
        "totals",
    }
    monkeypatch.setattr("yolo_slim.cli.training.is_first_process", lambda: False)
    assert status(f"{TRAIN.replace('--out t', '--out u')} --json u.json") == 0
    assert not (place / "u.json").exists()


def test_a_finished_training_is_left_as_it_is(place, capsys):
    assert status(TRAIN) == 0
    before = {p.name: p.read_bytes() for p in (place / "t/bundle").iterdir()}
    capsys.readouterr()
    assert status(f"{TRAIN} --resume") == 0
    assert "nothing was left to train" in " ".join(capsys.readouterr().out.split())
    after = {p.name: p.read_bytes() for p in (place / "t/bundle").iterdir()}
    assert before["model.safetensors"] == after["model.safetensors"]


def test_a_longer_training_is_told_and_temporary_files_go(place, capsys):
    assert status(TRAIN) == 0
    left = place / "t/checkpoints/.last.abc.ckpt"
    left.write_bytes(b"half")
    capsys.readouterr()
    assert status(TRAIN.replace("--epochs 2", "--epochs 3") + " --resume") == 0
    assert "begun with --epochs 2, now 3" in " ".join(capsys.readouterr().out.split())
    assert not left.exists()


@pytest.mark.slow
def test_a_disk_that_torch_finds_full_is_one_line(place):
    """As the system says it: no file may grow beyond 300 kB."""
    command = [sys.executable, "-c", "from yolo_slim.cli import main; main()", *TRAIN.split()]
    limited = ["bash", "-c", 'ulimit -f 300; trap "" XFSZ; exec "$@"', "-", *command]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "last.ckpt" in done.stderr
    assert not list(place.glob("t/checkpoints/*"))


def test_what_contradicts_the_beginning_is_refused(place, capsys):
    assert status(TRAIN) == 0
    document = json.loads((place / "boxes.json").read_text())
    document["annotations"][0]["bbox"] = [1, 1, 9, 9]
    (place / "other.json").write_text(json.dumps(document))
    shutil.copytree(place / "t/bundle", place / "another")
    more = TRAIN.replace("--epochs 2", "--epochs 3") + " --resume"
    for change, told in {
        "--box-loss giou": "begun with loss",
        "--cells neighbours": "begun with",
        "--weight-decay 0.1": "begun with --weight-decay 0.02",
        "--iou-thresh 0.3": "begun with --iou-thresh not given, and now it is 0.3",
        "--close-mosaic 0": "begun with --close-mosaic not given",
        "--precision bf16": "begun with --precision float32",
        "--annotations other.json": "begun with data 6 pictures",
        "--teacher another": "begun with teacher none",
    }.items():
        capsys.readouterr()
        command = more
        if change.startswith("--annotations"):
            command, change = more.replace("--annotations boxes.json", change), ""
        assert status(f"{command} {change}") == 2
        assert told in " ".join(capsys.readouterr().err.split())


def test_a_set_without_boxes_teaches_nothing(place, capsys):
    document = json.loads((place / "boxes.json").read_text()) | {"annotations": []}
    (place / "boxes.json").write_text(json.dumps(document))
    assert status(TRAIN) == 2
    assert "has no boxes" in capsys.readouterr().err


def test_neighbours_are_given_reach_from_scratch_alone(place, capsys):
    assert status(f"{TRAIN} --cells neighbours") == 0
    assert all(y.scale_x_y == 2 for y in load_bundle(place / "t/bundle").cfg.yolos)
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg), class_names=("cat", "dog")).then("train", {}).save(
        place / "old"
    )
    other = TRAIN.replace("yolov3-nano --size 64", "old").replace("--out t", "--out u")
    capsys.readouterr()
    assert status(f"{other} --cells neighbours") == 2
    assert "needs scale_x_y above 1" in " ".join(capsys.readouterr().err.split())


class Begun(Exception):
    """What a training was begun with."""


def begun(monkeypatch, command: str) -> Bundle:
    def train(bundle, *_, **__):
        raise Begun(bundle)

    monkeypatch.setattr("yolo_slim.pipeline.detecting.train", train)
    with pytest.raises(Begun) as caught:
        status(command)
    return caught.value.args[0]


@pytest.mark.parametrize("typed", ["", "--names names.txt"])
def test_rows_of_heads_go_by_name_where_the_number_of_classes_stays(
    place, monkeypatch, capsys, typed
):
    cfg = build("yolov3-nano", 2, 64)
    old = Bundle(cfg, random_weights(cfg), class_names=() if typed else ("dog", "cat"))
    old.save(place / "old")
    (place / "names.txt").write_text("dog\ncat\n")
    new = begun(monkeypatch, TRAIN.replace("yolov3-nano --size 64", f"old {typed}"))
    told = " ".join(capsys.readouterr().out.split())
    assert "are others, or in another order" in told and "these classes: cat, dog" in told
    key = f"{cfg.head_indices[0] - 1}.conv.weight"
    before, after = (bundle.weights[key].view(3, 7, -1) for bundle in (old, new))
    assert after[:, 5].equal(before[:, 6]) and after[:, 6].equal(before[:, 5])


def test_classes_to_validate_on_are_looked_at_before_training(place, monkeypatch, capsys):
    side = "{images: pictures, annotations: NAME.json}"
    (place / "set.yaml").write_text(
        f"train: {side.replace('NAME', 'boxes')}\nval: {side.replace('NAME', 'val')}\n"
    )
    document = (place / "boxes.json").read_text()
    command = TRAIN.replace("--images pictures --annotations boxes.json", "--data set.yaml")
    (place / "val.json").write_text(document.replace('"cat"', '"cow"'))
    assert status(command) == 2
    assert "boxes.json does not have: cow" in " ".join(capsys.readouterr().err.split())
    assert not (place / "t").exists()
    one = json.loads(document)
    one["categories"] = one["categories"][1:]
    one["annotations"] = [a for a in one["annotations"] if a["category_id"] == 2]
    (place / "val.json").write_text(json.dumps(one))
    begun(monkeypatch, command)


def test_a_small_set_can_be_profiled(place, capsys):
    assert status(f"{TRAIN} --profile-steps 12") == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.endswith("images a second") and float(last.split()[0]) > 0
    assert not (place / "t").exists()


def test_json_goes_into_what_the_shell_has_open():
    """As /dev/stdout leads to it: a link that names no file."""
    from yolo_slim.files import whole_file

    source, sink = os.pipe()
    with whole_file(Path(f"/proc/self/fd/{sink}")) as temporary:
        temporary.write_text("{}")
    os.close(sink)
    assert os.read(source, 9) == b"{}"
    os.close(source)


def test_json_goes_through_links_and_into_pipes(place):
    from yolo_slim.files import whole_file

    (place / "link").symlink_to(place / "real")
    with whole_file(place / "link") as temporary:
        temporary.write_text("seen")
    assert (place / "link").is_symlink() and (place / "real").read_text() == "seen"
    os.mkfifo(place / "pipe")
    reader = subprocess.Popen(["cat", place / "pipe"], stdout=subprocess.PIPE)
    with whole_file(place / "pipe") as temporary:
        temporary.write_text("through")
    assert reader.communicate(timeout=10)[0] == b"through"
    assert (place / "pipe").is_fifo()
