import json

import pytest

from yolo_slim.cli import main

FASTEST = "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    told = capsys.readouterr().err
    assert caught.value.code == 2, told
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate", "nowhere"], "no bundle folder"),
        (["evaluate", "nowhere.cfg"], "cannot be read"),
        (["evaluate", "nowhere.onnx"], "no such file"),
        (["evaluate", "yolov3-tiny"], "no trained weights"),
        (["profile", "yolov3-tiny", "--runtime", "abacus"], "runtime 'abacus' is unknown"),
        (["compress", "nowhere.toml", "--out", "x"], "cannot be read"),
        (["train", "yolov3-tiny", "--epochs", "1", "--out", "x"], "no data"),
    ],
)
def test_one_clear_line(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(capsys, *arguments)
    assert told in message
    assert message.startswith("error: ") and message.count("\n") <= 2
    assert not list(tmp_path.iterdir())


def test_a_typo_in_the_last_step_fails_before_the_first(capsys, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'title = "t"\n[data]\ndigits = true\n[model]\nzoo = "yolov3-nano"\n'
        '[[step]]\nverb = "train"\nname = "a"\nepochs = 1\n'
        '[[step]]\nverb = "prune"\nname = "b"\ntarget_mac = 0.2\n'
    )
    message = refused(capsys, "compress", recipe, "--out", tmp_path / "run")
    assert "target_macs" in message
    assert not (tmp_path / "run").exists()


def test_truncated_weights_name_both_counts(capsys, tmp_path, shared_root):
    cut = tmp_path / "cut.weights"
    cut.write_bytes((shared_root / f"{FASTEST}.weights").read_bytes()[:5000])
    arguments = ["convert", shared_root / f"{FASTEST}.cfg", "--weights", cut]
    message = refused(capsys, *arguments, "--out", tmp_path / "out")
    assert "1,245 floats" in message and "cut short" in message
    assert not (tmp_path / "out").exists()


def test_wrong_class_count(capsys, tmp_path, shared_root):
    data = shared_root / "data/cbc"
    message = refused(
        capsys, "evaluate", shared_root / f"{FASTEST}.cfg",
        "--weights", shared_root / f"{FASTEST}.weights",
        "--images", data / "test", "--annotations", data / "annotations/test.json",
    )  # fmt: skip
    assert "80 classes" in message and "has 3" in message


def test_empty_data_set(capsys, tmp_path, shared_root):
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    refused(
        capsys, "evaluate", shared_root / f"{FASTEST}.cfg",
        "--weights", shared_root / f"{FASTEST}.weights",
        "--images", tmp_path, "--annotations", empty,
    )  # fmt: skip
