"""A data set in a folder: its parts fetched and unpacked, and a description written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from yolo_slim.data.download.catalogue import Archive, Source
from yolo_slim.data.download.fetch import Advance, Patience, fetch, file_digest
from yolo_slim.data.download.stamps import DOWNLOADS, check_free, read_stamps, write_stamps
from yolo_slim.data.download.unpack import unpack
from yolo_slim.errors import RunError
from yolo_slim.files import room, told_bytes, whole_file

Progress = Callable[[str], AbstractContextManager[Advance]]


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
    there = read_stamps(out)
    for archive in archives.values():
        check_free(out / archive.folder, str(archive.digest), there)
    missing = {}
    for name, archive in archives.items():
        if archive.folder in there and (out / archive.folder).is_dir():
            tell(f"{out / archive.folder}: is there already")
        else:
            missing[name] = archive
    _check_room(out, [archive.size or 0 for archive in missing.values()])
    with downloads_folder(out) as downloads:
        for name, archive in missing.items():
            path, folder = downloads / archive.file_name, out / archive.folder
            if not is_whole(path, archive):
                with progress(f"download {name}") as advance:
                    fetch(archive, path, advance, patience)
            with progress(f"unpack {name}") as advance:
                n_files = unpack(path, folder, archive.inside, advance)
            there[archive.folder] = str(archive.digest)
            write_stamps(out, there)
            path.unlink()
            tell(f"{folder}: {n_files} files")
    return bool(missing)


@contextmanager
def downloads_folder(out: Path) -> Iterator[Path]:
    """The folder for files on their way; in the end nothing is left of it if it is empty."""
    downloads, was_there = out / DOWNLOADS, out.exists()
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        yield downloads
    finally:
        with suppress(OSError):  # not empty: what came so far is kept
            downloads.rmdir()
            if not was_there:
                out.rmdir()


def is_whole(path: Path, archive: Archive) -> bool:
    return path.is_file() and file_digest(path, archive.digest.algorithm) == archive.digest


def _check_room(out: Path, sizes: list[int]) -> None:
    """Pictures are as large unpacked as packed; one archive lies beside what came of it."""
    needed = sum(sizes) + max(sizes, default=0)
    if needed > (free := room(out)):
        raise RunError(
            f"{out} has room for {told_bytes(free)}, {told_bytes(needed)} are needed: make room, "
            "name another --out, or fewer --parts."
        )


def description_place(source: Source, out: Path) -> Path:
    """Where `describe` writes."""
    return out / f"{source.name}.yaml"


def describe(source: Source, out: Path) -> Path | None:
    """Writes `out/NAME.yaml` over the splits whose parts are there; None for no split."""
    place = description_place(source, out)
    there = read_stamps(out)
    lines = []
    for split, (parts, images, boxes) in source.description.items():
        if all(source.parts[part].folder in there for part in parts):
            lines.append(f"{split}: {{images: {images}, annotations: {boxes}}}")
    return write_description(place, source.licence, lines) if lines else None


def write_description(path: Path, licence: str, lines: Sequence[str]) -> Path:
    """Writes a description of these splits under a line about the licence; gives back `path`."""
    with whole_file(path) as temporary:
        temporary.write_text("\n".join([f"# {licence}", *lines, ""]), encoding="utf-8")
    return path
