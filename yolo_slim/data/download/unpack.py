"""Archives unpacked without trust: files and folders only, below one folder, of bearable size."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from yolo_slim.errors import DataError, RunError
from yolo_slim.files import room, told_bytes, whole_folder

MAX_MEMBERS = 2_000_000
MAX_BYTES = 200_000_000_000
MAX_RATIO = 200
"""Unpacked over packed: a JPEG is 1, text up to 20; far above, it is a bomb."""

_CHUNK = 1 << 20
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    ValueError,
    struct.error,
)
_FREE_OF_RATIO = 100_000_000  # below this many bytes no ratio does harm


@dataclass(frozen=True)
class _Member:
    """name: as written. kind: 'file', 'folder', or what else it is. size: in bytes, unpacked."""

    name: str
    kind: str
    size: int
    handle: Any  # the ZipInfo or TarInfo


_Open = Callable[[_Member], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    inside: str = "",
    advance: Callable[[int, int], None] | None = None,
) -> int:
    """Unpacks a .zip or .tar (also .tar.gz, .tar.xz, .tar.bz2) and returns how many files came.

    The format is told by the content. `folder` is there in whole, or not at all.

    inside: only what lies below that folder of the archive, which is left out of the names.
    advance: called with (bytes written, bytes in all).

    Raises DataError, before a byte is written, for an absolute name, one with `..`, a link, a
    device, two files of one name, an encrypted file, or more than the limits above; and for an
    archive that is none or is damaged. RunError where the disk has no room.
    """
    with _opened(archive) as (members, open_member):
        planned = list(_planned(members, archive, inside))
        _check_limits([member for member, _ in planned], archive, folder)
        done, total = 0, sum(member.size for member, _ in planned)
        with whole_folder(folder) as temporary:
            for member, name in planned:
                target = temporary / name
                try:
                    if member.kind == "folder":
                        target.mkdir(parents=True, exist_ok=True)
                        continue
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _write(open_member(member), target, member, archive)
                except (FileExistsError, NotADirectoryError) as error:
                    raise DataError(
                        f"{archive} holds {member.name!r} as a file and as a folder."
                    ) from error
                done += member.size
                if advance:
                    advance(done, total)
    return sum(member.kind == "file" for member, _ in planned)


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[_Member], _Open]]:
    """Yields the members, and what opens one of them for reading; damage is a DataError."""
    try:
        with archive.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        # Not by `is_zipfile`: a tar may end in a file that is a zip.
        if is_zip:
            with zipfile.ZipFile(archive) as packed:
                members = [_of_zip(info) for info in packed.infolist()]
                yield members, lambda m: packed.open(m.handle)
        else:
            with tarfile.open(archive) as tar:
                members = [_of_tar(info) for info in _limited(tar, archive)]
                yield members, lambda m: tar.extractfile(m.handle)
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(
            f"{archive} is no .zip or .tar, or is damaged ({reason}): nothing was unpacked."
        ) from error
    except Exception as error:
        # zlib.error and lzma.LZMAError have no common base; bz2 and gzip raise a bare OSError.
        bare = isinstance(error, OSError) and error.errno is None
        if bare or type(error).__module__ in ("zlib", "lzma", "_lzma"):
            raise DataError(f"{archive} is damaged ({error}).") from error
        raise


def _limited(packed: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """Members one by one: reading the list of a compressed tar means unpacking it."""
    n_bytes = 0
    for number, info in enumerate(packed):
        n_bytes += info.size
        if number >= MAX_MEMBERS or n_bytes > _most_bytes(archive):
            raise DataError(_too_much(archive))
        yield info


def _of_zip(info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    kind = "folder" if info.is_dir() else "file"
    if info.flag_bits & 1:
        kind = "an encrypted file"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a link" if stat.S_ISLNK(mode) else "a special file"
    # `filename` ends at a null byte and has / for \; what was written is `orig_filename`.
    return _Member(info.orig_filename, kind, info.file_size, info)


def _of_tar(info: tarfile.TarInfo) -> _Member:
    kind = "folder" if info.isdir() else "file" if info.isreg() else "a special file"
    if info.issym() or info.islnk():
        kind = "a link"
    return _Member(info.name, kind, info.size, info)


def _planned(
    members: list[_Member], archive: Path, inside: str
) -> Iterator[tuple[_Member, PurePosixPath]]:
    """Members below `inside` with their names from there; every member is looked at."""
    seen: set[str] = set()
    base = PurePosixPath(inside)
    n_found = 0
    for member in members:
        path = _safe_name(member, archive)
        if member.kind == "file":
            # Some disks do not tell capitals apart.
            if path.as_posix().lower() in seen:
                raise DataError(f"{archive} holds {member.name!r} twice: it was not unpacked.")
            seen.add(path.as_posix().lower())
        if path.is_relative_to(base):
            n_found += member.kind == "file"
            yield member, path.relative_to(base)
    if not n_found:
        raise DataError(f"{archive} holds no file{f' below {inside}' if inside else ''}.")


def _safe_name(member: _Member, archive: Path) -> PurePosixPath:
    name, path = member.name, PurePosixPath(member.name)
    bad = (
        path.is_absolute()
        or ".." in path.parts
        or any(letter in name for letter in "\\\0")
        or any(len(part) > 1 and part[1] == ":" for part in path.parts[:1])
        or (member.kind == "file" and path == PurePosixPath("."))
    )
    if bad:
        raise DataError(
            f"{archive} holds {name!r}, which leads out of its folder: it was not unpacked."
        )
    if member.kind not in ("file", "folder"):
        raise DataError(
            f"{archive} holds {name!r}, {member.kind}. Expected files and folders: it was not "
            "unpacked."
        )
    return path


def _check_limits(members: list[_Member], archive: Path, folder: Path) -> None:
    n_bytes = sum(member.size for member in members)
    if len(members) > MAX_MEMBERS or n_bytes > _most_bytes(archive):
        raise DataError(_too_much(archive))
    if n_bytes > (free := room(folder.parent)):
        raise RunError(
            f"{folder} needs {told_bytes(n_bytes)}, there is room for {told_bytes(free)}: make "
            "room; the archive stays."
        )


def _most_bytes(archive: Path) -> int:
    return min(MAX_BYTES, max(_FREE_OF_RATIO, MAX_RATIO * archive.stat().st_size))


def _too_much(archive: Path) -> str:
    return (
        f"{archive} would unpack to over {_most_bytes(archive) / 1e9:.1f} GB or {MAX_MEMBERS} "
        "files: it was not unpacked."
    )


def _write(source: IO[bytes] | None, target: Path, member: _Member, archive: Path) -> None:
    """Copies what the member said it has, and not a byte more."""
    if source is None:
        raise DataError(f"{archive} holds {member.name!r}, which cannot be read.")
    left = member.size
    with source, target.open("xb") as file:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
    if left:
        raise DataError(f"{archive} is damaged: {member.name!r} has another size than it says.")
