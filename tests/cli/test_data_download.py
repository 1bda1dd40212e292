"""`data download`: whatever is asked of it wrongly ends in a line, and leaves nothing."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import zipfile

import pytest

from yolo_slim.cli import main
from yolo_slim.data.describe import splits_in
from yolo_slim.data.download.catalogue import find_source
from yolo_slim.data.download.stamps import write_stamps

SUM = "0" * 64


def run(command: str, capsys) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(ended.value.code or 0), " ".join(out.split()), err


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


FILES = {
    "/good.zip": packed({"a/b.txt": b"hello", "a/c.png": b""}),
    "/slip.zip": packed({"../evil": b"x"}),
    "/text.zip": b"hello",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = FILES.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(name: str) -> str:
    return hashlib.sha256(FILES[f"/{name}"]).hexdigest()


def test_any_archive_by_its_checksum(url, tmp_path, capsys):
    command = f"data download --url {url}/good.zip --sha256 {sha256('good.zip').upper()} --out set"
    assert run(command, capsys)[0] == 0
    assert (tmp_path / "set" / "good" / "a" / "b.txt").read_bytes() == b"hello"
    status, out, _ = run(f"{command} --json told.json", capsys)
    assert status == 0 and "is there already" in out
    assert json.loads((tmp_path / "told.json").read_text()) == {
        "out": "set", "name": None, "description": None, "folders": ["good"],
        "images": {"good": 1},
    }  # fmt: skip
    status, _, err = run(f"{command} --json set/unpacked.json", capsys)
    assert status == 2 and "set/unpacked.json would replace" in err


def test_json_counts_the_pictures_of_a_set_by_name(tmp_path, capsys, monkeypatch):
    """As if all had come before, but for the description; masks are no pictures to train on."""
    monkeypatch.chdir(tmp_path)
    source, there = find_source("voc2007"), {}
    for archive in source.parts.values():
        there[archive.folder] = str(archive.digest)
        for name in ("JPEGImages/a.jpg", "SegmentationClass/a.png"):
            path = tmp_path / "set" / archive.folder / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
    write_stamps(tmp_path / "set", there)
    status, out, _ = run("data download voc --out set --json told.json", capsys)
    assert status == 0 and "set/voc2007.yaml: pass it as --data" in out
    assert splits_in(tmp_path / "set" / "voc2007.yaml") == ("train", "val")
    assert json.loads((tmp_path / "told.json").read_text()) == {
        "out": "set", "name": "voc2007", "description": "set/voc2007.yaml",
        "folders": ["trainval2007", "test2007"],
        "images": {"trainval2007/JPEGImages": 1, "test2007/JPEGImages": 1},
    }  # fmt: skip


def test_a_wrong_checksum_is_status_1_and_leaves_nothing(url, tmp_path, capsys):
    command = f"data download --url {url}/good.zip --sha256 {SUM} --out set"
    status, _, err = run(command, capsys)
    assert status == 1 and f"expected sha256:{SUM}" in err
    assert len(err.splitlines()) <= 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "told"), [("slip.zip", "leads out of its folder"), ("text.zip", "no .zip or .tar")]
)
def test_an_archive_that_cannot_be_unpacked(name, told, url, tmp_path, capsys):
    command = f"data download --url {url}/{name} --sha256 {sha256(name)} --out set"
    status, _, err = run(command, capsys)
    assert status == 2 and told in err and len(err.splitlines()) <= 2
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.name for p in left] == [name], "the archive, for a person to look at"


CASES = {
    "nothing": ("", "name one of coco, voc2007, voc2012"),
    "unknown set": ("cocoa", "no data set is called 'cocoa'"),
    "unknown part": ("coco --parts val,test", "no part 'test'"),
    "no part": ("coco --parts ,", "no part ','"),
    "parts of the small set": ("coco-small --parts val", "has no parts"),
    "pictures of another": ("coco --pictures 3", "goes with coco-small"),
    "name and address": ("coco --url http://h/a.zip --sha256 " + SUM, "one of the two"),
    "name and checksum": ("coco --sha256 " + SUM, "one of the two"),
    "address without checksum": ("--url http://h/a.zip", "needs --sha256"),
    "checksum alone": ("--sha256 " + SUM, "--url"),
    "no checksum": ("--url http://h/a.zip --sha256 abc", "is no sha256 sum"),
    "parts of an address": (f"--url http://h/a.zip --sha256 {SUM} --parts val", "--parts goes"),
    "no address": (f"--url a.zip --sha256 {SUM}", "no address to download from"),
    "half an address": (f"--url http://[::1/a.zip --sha256 {SUM}", "no address to download from"),
    "file address": (f"--url file:///etc/hostname --sha256 {SUM}", "no address"),
    "not there": (f"--url URL/none.zip --sha256 {SUM}", "404"),
    "over a file": (f"--url URL/good.zip --sha256 {SUM} --out note.txt", "note.txt"),
    "over other data": (f"--url URL/good.zip --sha256 {SUM} --out full", "holds something else"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_status_2_in_two_lines_and_leaves_nothing(case, url, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("dear")
    (tmp_path / "full" / "good").mkdir(parents=True)
    (tmp_path / "full" / "good" / "thesis.txt").write_text("dear")
    before = sorted(tmp_path.rglob("*"))
    arguments, told = CASES[case]
    out = "" if "--out" in arguments else " --out set"
    status, _, err = run(f"data download {arguments.replace('URL', url)}{out}", capsys)
    assert status == 2, err
    assert told in err and err.startswith("error: ") and len(err.splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before


def test_help_tells_exit_states_and_names(capsys):
    assert "1 with faults" in run("data check --help", capsys)[1]
    assert "voc (which is voc2007)" in run("data download --help", capsys)[1].replace("│ │ ", "")


@pytest.mark.parametrize("name", ["voc", "VOC"])
def test_voc_is_that_of_2007(name, tmp_path, capsys):
    status, _, err = run(f"data download {name} --parts nothing --out {tmp_path / 'v'}", capsys)
    assert status == 2 and "voc2007 has no part 'nothing'" in err
