"""The tutorial, typed word for word; one epoch each, and few pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented import commands

from yolo_slim.cli import main

TUTORIAL = Path(__file__).parents[1] / "docs/tutorials/verb-by-verb.md"
SHORTER = {"--epochs": "1"}
FEWER = ["--train", "64", "--val", "16"]


def shortened(words: list[str]) -> list[str]:
    pairs = zip(["", *words], words, strict=False)
    words = [SHORTER.get(before, word) for before, word in pairs]
    return [*words, *FEWER] if words[:2] == ["data", "digits"] else words


@pytest.mark.slow
def test_every_step_follows_from_the_one_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = list(commands(TUTORIAL.read_text()))
    assert len(shown) > 15
    for words in shown:
        with pytest.raises(SystemExit) as ended:
            main(shortened(words))
        assert not ended.value.code, " ".join(words)
    for left in ("checked/check.html", "batch.jpg", "curve/sweep.html", "slim-trt.onnx"):
        assert Path(left).is_file(), left
