"""What an archive says is what comes out; what would lead out of the folder never does."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile

import pytest

from yolo_slim.data.download import unpack as module
from yolo_slim.data.download.unpack import unpack
from yolo_slim.errors import DataError, RunError

FILES = {"set/a.txt": b"alpha", "set/deep/b.bin": bytes(range(256)) * 40, "other/c": b""}


def _zip(path, files=FILES, **options):
    with zipfile.ZipFile(path, "w", **options) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def _tar(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def _tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


MAKERS = {
    "zip": _zip,
    "zip deflated": lambda path: _zip(path, compression=zipfile.ZIP_DEFLATED),
    "tar": _tar,
    "tar.gz": lambda path: _tar(path, mode="w:gz"),
    "tar.xz": lambda path: _tar(path, mode="w:xz"),
    "tar.bz2": lambda path: _tar(path, mode="w:bz2"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_everything_comes_out_as_it_went_in(maker, tmp_path):
    archive = MAKERS[maker](tmp_path / "archive")
    steps = []
    n_files = unpack(archive, tmp_path / "out", advance=lambda *step: steps.append(step))
    assert n_files == 3
    assert _tree(tmp_path / "out") == FILES
    assert steps[-1] == (sum(map(len, FILES.values())),) * 2


@pytest.mark.parametrize("maker", ["zip", "tar"])
def test_the_inside_of_a_folder(maker, tmp_path):
    archive = MAKERS[maker](tmp_path / "archive")
    assert unpack(archive, tmp_path / "out", "set") == 2
    assert _tree(tmp_path / "out") == {"a.txt": b"alpha", "deep/b.bin": FILES["set/deep/b.bin"]}
    with pytest.raises(DataError, match="no file below nothing"):
        unpack(archive, tmp_path / "more", "nothing")


def test_folders_are_made_and_modes_are_not_taken_over(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        info = tarfile.TarInfo("empty")
        info.type, info.mode = tarfile.DIRTYPE, 0o000
        packed.addfile(info)
        info = tarfile.TarInfo("run")
        info.mode = 0o6777
        packed.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "empty").is_dir()
    assert stat.S_IMODE((tmp_path / "out" / "run").stat().st_mode) & 0o6111 == 0


BAD_NAMES = [
    "../a", "set/../../a", "/etc/passwd", "set/..", "..", "\\\\host\\a", "..\\a", "C:/a", "C:\\a",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [_zip, _tar])
def test_a_name_that_leads_out(name, make, tmp_path):
    archive = make(tmp_path / "archive", {"good.txt": b"x", name: b"evil"})
    with pytest.raises(DataError, match="leads out of its folder: it was not unpacked"):
        unpack(archive, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive"]


def _special(path, kind):
    with tarfile.open(path, "w") as packed:
        info = tarfile.TarInfo("evil")
        info.type, info.linkname = kind, "/etc/passwd"
        packed.addfile(info)
        packed.addfile(tarfile.TarInfo("evil/below"))
    return path


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(kind, tmp_path):
    with pytest.raises(DataError, match=r"a link|a special file"):
        unpack(_special(tmp_path / "a.tar", kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mode", "told"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "special")])
def test_links_in_a_zip(mode, told, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        info = zipfile.ZipInfo("evil")
        info.external_attr = (mode | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=told):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_two_files_of_one_name(tmp_path):
    with pytest.raises(DataError, match=r"'A\.txt' twice"):
        unpack(_tar(tmp_path / "a.tar", {"a.txt": b"1", "A.txt": b"2"}), tmp_path / "out")


def test_a_name_that_is_file_and_folder(tmp_path):
    for k, files in enumerate(({"a": b"1", "a/b": b"2"}, {"a/b": b"2", "a": b"1"})):
        archive = _zip(tmp_path / f"{k}.zip", files)
        with pytest.raises(DataError, match="as a file and as a folder"):
            unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_an_encrypted_zip(tmp_path):
    content = bytearray(_zip(tmp_path / "a.zip", {"a": b"1"}).read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="an encrypted file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("maker", ["zip deflated", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb(maker, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FREE_OF_RATIO", 1000)
    zeros = {"zeros": bytes(5_000_000)}
    options = {"zip deflated": lambda p: _zip(p, zeros, compression=zipfile.ZIP_DEFLATED)}
    mode = maker.replace("tar.", "w:")
    archive = options.get(maker, lambda p: _tar(p, zeros, mode))(tmp_path / "bomb")
    assert archive.stat().st_size < 10_000
    with pytest.raises(DataError, match="it was not unpacked"):
        unpack(archive, tmp_path / "out")


def test_a_zip_that_lies_about_its_size(tmp_path):
    content = bytearray(_zip(tmp_path / "a.zip", {"a": b"x" * 1000}).read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 24 : place + 28] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_an_archive_cut_short_unpacks_to_nothing(maker, share, tmp_path):
    content = MAKERS[maker](tmp_path / "archive").read_bytes()
    # A tar ends in 10 kB of zeros of which none is missed.
    n_bytes = min(int(share * len(content)), len(content.rstrip(b"\0")) - 1)
    (tmp_path / "archive").write_bytes(content[:n_bytes])
    try:
        unpack(tmp_path / "archive", tmp_path / "out")
    except DataError as error:
        assert "archive" in str(error) and str(error).count("\n") == 0
        assert not (tmp_path / "out").exists()
    else:
        # A tar cut between two files is a tar: this is what the checksum is for.
        assert maker.startswith("tar")
        assert _tree(tmp_path / "out").items() <= FILES.items()


def test_what_is_no_archive(tmp_path):
    for content in (b"", b"hello", b"PK", b"PK\3\4 no", b"\x1f\x8b no", bytes(5000)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError):
            unpack(tmp_path / "a", tmp_path / "out")


def test_a_full_disk_is_told_before(tmp_path, monkeypatch):
    archive = _tar(tmp_path / "a.tar")
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunError, match="there is room for"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path):
    inner = _zip(tmp_path / "inner.zip").read_bytes()
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        info = tarfile.TarInfo("inner.zip")
        info.size = len(inner)
        packed.addfile(info, io.BytesIO(inner))
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert _tree(tmp_path / "out") == {"inner.zip": inner}
