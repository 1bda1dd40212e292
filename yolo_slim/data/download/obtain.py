"""A data set in a folder: its parts fetched and unpacked, and a description written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from yolo_slim.data.download.catalogue import Archive, Source
from yolo_slim.data.download.fetch import Advance, Patience, fetch, file_digest
from yolo_slim.data.download.unpack import unpack
from yolo_slim.errors import DataError, RunError
from yolo_slim.files import whole_file

Progress = Callable[[str], AbstractContextManager[Advance]]

_STAMP = "unpacked.json"
_DOWNLOADS = ".downloads"


def obtain(
    archives: Mapping[str, Archive],
    out: Path,
    progress: Progress,
    tell: Callable[[str], None],
    patience: Patience | None = None,
) -> bool:
    """Puts each archive's content into its folder below `out`; what is there is left alone.

    Gives back whether anything was to do.

    Files lie in `out/.downloads` until they have been unpacked. `out/unpacked.json` says what is
    there and the checksum of the file that it came from.

    progress: gives a bar for a text. tell: is told what was done, a line each.

    Raises DataError where a folder holds something else, RunError where the disk has no room; see
    `fetch` and `unpack` for the rest.
    """
    there = _read_stamps(out)
    for archive in archives.values():
        _check_free(out / archive.folder, archive, there)
    missing = {}
    for name, archive in archives.items():
        if archive.folder in there and (out / archive.folder).is_dir():
            tell(f"{out / archive.folder}: is there already")
        else:
            missing[name] = archive
    _check_room(out, [archive.size or 0 for archive in missing.values()])
    downloads = out / _DOWNLOADS
    was_there = out.exists()
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        for name, archive in missing.items():
            path, folder = downloads / archive.file_name, out / archive.folder
            if not _is_whole(path, archive):
                with progress(f"download {name}") as advance:
                    fetch(archive, path, advance, patience)
            with progress(f"unpack {name}") as advance:
                n_files = unpack(path, folder, archive.inside, advance)
            there[archive.folder] = str(archive.digest)
            _write_stamps(out, there)
            path.unlink()
            tell(f"{folder}: {n_files} files")
    finally:
        with suppress(OSError):  # not empty: what came so far is kept
            downloads.rmdir()
            if not was_there:
                out.rmdir()
    return bool(missing)


def _is_whole(path: Path, archive: Archive) -> bool:
    return path.is_file() and file_digest(path, archive.digest.algorithm) == archive.digest


def _check_room(out: Path, sizes: list[int]) -> None:
    """Pictures are as large unpacked as packed; one archive lies beside what came of it."""
    place = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    needed, free = sum(sizes) + max(sizes, default=0), shutil.disk_usage(place).free
    if needed > free:
        raise RunError(
            f"{out} has room for {free / 1e9:.1f} GB, {needed / 1e9:.1f} GB are needed: make room, "
            "name another --out, or fewer --parts."
        )


def describe(source: Source, out: Path) -> Path | None:
    """Writes `out/NAME.yaml` over the splits whose parts are there; None for no split."""
    there = _read_stamps(out)
    lines = []
    for split, (parts, images, boxes) in source.description.items():
        if all(source.parts[part].folder in there for part in parts):
            lines.append(f"{split}: {{images: {images}, annotations: {boxes}}}\n")
    if not lines:
        return None
    path = out / f"{source.name}.yaml"
    with whole_file(path) as temporary:
        temporary.write_text(f"# {source.licence}\n{''.join(lines)}", encoding="utf-8")
    return path


def _check_free(folder: Path, archive: Archive, there: Mapping[str, str]) -> None:
    if there.get(archive.folder) == str(archive.digest):
        return
    if folder.exists() or archive.folder in there:
        raise DataError(
            f"{folder} holds something else than {archive.file_name}. Name another --out, or "
            "remove it."
        )


def _read_stamps(out: Path) -> dict[str, str]:
    """Folder -> checksum of the archive that it came from."""
    try:
        found = json.loads((out / _STAMP).read_bytes())
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise DataError(f"{out} is a file. Expected the name of a folder.") from error
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{out / _STAMP} is damaged. Remove it and the folders beside it.")
    return {str(folder): str(digest) for folder, digest in found.items()}


def _write_stamps(out: Path, there: Mapping[str, str]) -> None:
    with whole_file(out / _STAMP) as temporary:
        temporary.write_text(json.dumps(there, indent=1) + "\n", encoding="utf-8")
