"""A file arrives whole and right, however often the connection ends; or it does not arrive."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest

from yolo_slim.data.download.catalogue import Digest
from yolo_slim.data.download.fetch import fetch, file_digest
from yolo_slim.errors import DataError, RunError

CONTENT = np.random.default_rng(1).bytes(3_000_000)


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_in_one_go(server, now, tmp_path):
    steps = []
    archive = server.archive("a.zip", CONTENT, size=len(CONTENT))
    fetch(archive, tmp_path / "a.zip", lambda *step: steps.append(step), now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert _names(tmp_path) == ["a.zip"]
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and steps == sorted(steps)


@pytest.mark.parametrize("names", [{"etag": True}, {"etag": False, "last_modified": "yesterday"}])
def test_a_connection_that_ends_is_taken_up_where_it_ended(names, server, now, tmp_path):
    for name, value in names.items():
        setattr(server, name, value)
    archive = server.archive("a.zip", CONTENT)
    server.cut = [1_200_000, 700_000, 5]
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1200000-", "bytes=1900000-", "bytes=1900005-"]


def test_a_later_call_goes_on(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.cut = [2_000_000, 0, 0]
    with pytest.raises(RunError, match=r"ended after 2000000 of 3000000 bytes.*goes on"):
        fetch(archive, tmp_path / "a.zip", patience=now)
    assert _names(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    server.asked.clear()
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert server.asked == ["bytes=2000000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert _names(tmp_path) == ["a.zip"]


def test_ctrl_c_keeps_what_came(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(archive, tmp_path / "a.zip", stop, now)
    assert (tmp_path / "a.zip.part").stat().st_size == 1 << 20
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert server.asked == [None, f"bytes={1 << 20}-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_two_versions_are_never_joined(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.cut = [2_000_000, 0, 0]
    with pytest.raises(RunError):
        fetch(archive, tmp_path / "a.zip", patience=now)
    newer = CONTENT[::-1]
    fetch(server.archive("a.zip", newer), tmp_path / "a.zip", patience=now)
    assert server.asked[-1] == "bytes=2000000-", "asked for the rest, got the whole"
    assert (tmp_path / "a.zip").read_bytes() == newer


def test_a_part_of_another_address_is_forgotten(server, now, tmp_path):
    server.cut = [1000, 0, 0]
    with pytest.raises(RunError):
        fetch(server.archive("old.zip", CONTENT), tmp_path / "a.zip", patience=now)
    server.asked.clear()
    fetch(server.archive("new.zip", CONTENT), tmp_path / "a.zip", patience=now)
    assert server.asked == [None]


def test_a_part_that_is_whole_is_only_verified(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.cut = [2_000_000, 0, 0]
    with pytest.raises(RunError):
        fetch(archive, tmp_path / "a.zip", patience=now)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert server.asked[-1] == "bytes=3000000-"
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_that_is_too_long_begins_anew(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.cut = [2_000_000, 0, 0]
    with pytest.raises(RunError):
        fetch(archive, tmp_path / "a.zip", patience=now)
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("flaw", ["no ranges", "no names"])
def test_a_server_that_cannot_go_on_begins_anew(flaw, server, now, tmp_path):
    server.ranges, server.etag = flaw != "no ranges", flaw != "no names"
    archive = server.archive("a.zip", CONTENT)
    server.cut = [2_000_000]
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=2000000-" if flaw == "no ranges" else None]


def test_a_server_that_does_not_say_how_much(server, now, tmp_path):
    server.says_length = False
    fetch(server.archive("a.zip", CONTENT), tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    wrong = Digest("md5", hashlib.md5(b"other").hexdigest())
    found = hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(RunError, match=f"has md5:{found}, expected {wrong}"):
        fetch(replace(archive, digest=wrong), tmp_path / "a.zip", patience=now)
    assert _names(tmp_path) == []
    right = Digest("md5", found)
    fetch(replace(archive, digest=right), tmp_path / "a.zip", patience=now)
    assert file_digest(tmp_path / "a.zip", "md5") == right


def test_another_size_is_refused_before_a_byte_is_kept(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT, size=7)
    with pytest.raises(RunError, match="has 3000000 bytes, expected 7"):
        fetch(archive, tmp_path / "a.zip", patience=now)
    assert not (tmp_path / "a.zip").exists()


def test_more_than_was_promised_is_refused(server, now, tmp_path):
    server.says_length = False
    with pytest.raises(RunError, match="more than the 7 bytes"):
        fetch(server.archive("a.zip", CONTENT, size=7), tmp_path / "a.zip", patience=now)


@pytest.mark.parametrize("statuses", [[503, 500], [429], [408]])
def test_a_busy_server_is_asked_again(statuses, server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.statuses = list(statuses)
    fetch(archive, tmp_path / "a.zip", patience=now)
    assert len(server.asked) == len(statuses) + 1


def test_a_server_that_stays_busy(server, now, tmp_path):
    server.statuses = [503] * 9
    with pytest.raises(RunError, match=r"503 .*, after 3 attempts"):
        fetch(server.archive("a.zip", CONTENT), tmp_path / "a.zip", patience=now)
    assert len(server.asked) == 3


def test_what_is_not_there_is_asked_for_once_at_each_address(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    gone = replace(archive, urls=(f"{server.url}/x.zip", f"{server.url}/y.zip"))
    with pytest.raises(DataError, match=r"x\.zip: the server says 404 .*y\.zip.* moved"):
        fetch(gone, tmp_path / "a.zip", patience=now)
    assert len(server.asked) == 2 and _names(tmp_path) == []
    moved = replace(archive, urls=(f"{server.url}/x.zip", *archive.urls))
    fetch(moved, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_being_sent_elsewhere(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    server.redirect = {"/old.zip": archive.urls[0], "/disk": f"file://{__file__}"}
    fetch(replace(archive, urls=(f"{server.url}/old.zip",)), tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    with pytest.raises((DataError, RunError)):
        fetch(replace(archive, urls=(f"{server.url}/disk",)), tmp_path / "b.zip", patience=now)
    assert not (tmp_path / "b.zip").exists()


def test_a_dead_server_is_passed_over_for_the_next(server, now, tmp_path):
    archive = server.archive("a.zip", CONTENT)
    dead = replace(archive, urls=("http://127.0.0.1:9/a.zip", *archive.urls))
    fetch(dead, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_what_came_is_not_given_up_for_another_address(server, now, tmp_path):
    server.cut = [2_000_000, 0, 0]
    archive = server.archive("a.zip", CONTENT)
    both = replace(archive, urls=(*archive.urls, f"{server.url}/mirror.zip"))
    with pytest.raises(RunError, match=r"a\.zip: .*goes on"):
        fetch(both, tmp_path / "a.zip", patience=now)
    assert (tmp_path / "a.zip.part").stat().st_size == 2_000_000


def test_no_server_at_all(server, now, tmp_path):
    archive = replace(server.archive("a", b""), urls=("http://127.0.0.1:9/a.zip",))
    with pytest.raises(RunError, match=r"refused.*after 3 attempts"):
        fetch(archive, tmp_path / "a.zip", patience=now)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "ftp://h/a.zip", "a.zip", "http://", "http://h:x/a", "http://h/a b"],
)
def test_no_address(url, server, now, tmp_path):
    archive = replace(server.archive("a", b""), urls=(url,))
    with pytest.raises(DataError, match="no address to download from"):
        fetch(archive, tmp_path / "a.zip", patience=now)


def test_a_full_disk_is_told_before(server, now, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunError, match=r"has room for 1\.0 MB, "):
        fetch(server.archive("a.zip", CONTENT), tmp_path / "a.zip", patience=now)


def test_notes_that_are_damaged_begin_anew(server, now, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 10)
    for notes in ("{", "[]", '{"url": 3}', "null"):
        (tmp_path / "a.zip.part.json").write_text(notes)
        fetch(server.archive("a.zip", CONTENT), tmp_path / "a.zip", patience=now)
        assert server.asked[-1] is None
        assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_digests_are_those_of_hashlib(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    assert file_digest(tmp_path / "a", "sha256").value == hashlib.sha256(CONTENT).hexdigest()
    assert file_digest(tmp_path / "a", "md5").value == hashlib.md5(CONTENT).hexdigest()


@pytest.mark.parametrize("value", ["", "abc", "g" * 64, "A" * 64, "0" * 63])
def test_a_sum_that_is_none(value):
    with pytest.raises(DataError, match="Expected 64 digits"):
        Digest("sha256", value)
