"""What was typed wrongly is told like every other error; help shows every option whole."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from typer.main import get_command

from yolo_slim.cli import main, zoo
from yolo_slim.cli.app import app_of

COMMANDS = dict(get_command(app_of()).commands)
DATA = COMMANDS.pop("data").commands
COMMANDS |= {f"data {name}": command for name, command in DATA.items()}


def told(command: str, capsys) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(
    ("command", "fault", "verb"),
    [
        ("prune m --out x --sweeep", "--sweeep: no such option; did you mean --sweep", "prune"),
        ("zoo --nope", "--nope: no such option", "zoo"),
        ("prune m --out x --importance loud", "--importance: 'loud' is not one of", "prune"),
        ("prune m --out x --ratio half", "--ratio.*half.*valid", "prune"),
        ("prune m --out x --layers 0", "--layers.* 0.*1$", "prune"),
        ("evaluate m --conf 2", "--conf.* 2.*1$", "evaluate"),
        ("prune m", "--out is missing$", "prune"),
        ("prune --out x", "MODEL is missing$", "prune"),
        ("prune m --out", "option '--out' requires an argument$", "prune"),
        ("prune m n --out x", "got unexpected extra argument", "prune"),
        ("data digits --out x --train 0", "--train.* 0.* 1", "data digits"),
        ("frobnicate", "no such command 'frobnicate'", ""),
    ],
)
def test_one_line_says_what_is_wrong_and_one_where_help_is(command, fault, verb, capsys):
    status, out, err = told(command, capsys)
    first, second = err.splitlines()
    assert status == 2 and out == ""
    assert re.match(f"error: {fault}", first)
    assert second == " ".join(f"try: yolo-slim {verb} --help".split())


@pytest.mark.parametrize("command", ["", "data"])
def test_a_verb_is_asked_for_by_the_help(command, capsys):
    status, out, err = told(command, capsys)
    assert status == 2 and "Usage: yolo-slim" in out and err == ""


def test_ctrl_c_is_told_in_a_line():
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
        "from yolo_slim.cli import main, zoo\n"
        "def press(*_, **__): os.kill(os.getpid(), signal.SIGINT)\n"
        "zoo.check_file = press\n"
        "main(['zoo'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "error: stopped\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 GB"),
        torch.cuda.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeException(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested "
            "buffer of size 8589934592"
        ),
    ],
    ids=["Python", "CPU", "GPU", "library of the GPU", "ONNX Runtime"],
)
def test_memory_that_is_short_is_told_in_a_line(error, capsys, monkeypatch):
    def short(*_, **__):
        raise error

    monkeypatch.setattr(zoo, "check_file", short)
    status, _, err = told("zoo", capsys)
    assert status == 1
    assert err == "error: out of memory: take a smaller --size or --batch-size\n"


def test_another_fault_of_a_library_keeps_its_traceback(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(zoo, "check_file", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        main(["zoo"])


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_shows_every_option_whole_in_80_columns(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = {
        option
        for parameter in COMMANDS[verb].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    status, shown, _ = told(f"{verb} --help", capsys)
    assert status == 0
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert names <= set(re.findall(r"--[a-z0-9-]+", shown))


def test_a_verb_waits_for_no_other_verb_s_libraries():
    code = (
        "from yolo_slim.cli.app import app_of; app_of(['detect']); import sys; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "yolo_slim.cli.detect" in found.stdout.split()
    assert "pytorch_lightning" not in found.stdout.split()
