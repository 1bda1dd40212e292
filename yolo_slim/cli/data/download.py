"""yolo-slim data download"""

from __future__ import annotations

import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from yolo_slim.cli.options import JsonFile, OutFolder, console, progress, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.data.download import small_coco
from yolo_slim.data.download.catalogue import (
    CATALOGUE,
    OTHER_NAMES,
    Archive,
    Digest,
    Source,
    find_parts,
    find_source,
)
from yolo_slim.data.download.fetch import check_address
from yolo_slim.data.download.obtain import describe, description_place, obtain
from yolo_slim.data.download.stamps import STAMP, read_stamps
from yolo_slim.data.pictures import find_pictures
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.files import require_writable

NAMES = (
    *CATALOGUE,
    *(f"{name} (which is {meant})" for name, meant in OTHER_NAMES.items()),
    small_coco.NAME,
)


def download(
    out: OutFolder,
    name: Annotated[
        str | None, typer.Argument(help=f"{', '.join(NAMES)}; or leave it out and give --url.")
    ] = None,
    parts: Annotated[
        str | None, typer.Option(help="Some parts only, as in val,annotations. Default: all.")
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5000,
            help=f"Of {small_coco.NAME}: how many of each split. Default: {small_coco.N_PICTURES}.",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Any .zip or .tar, in place of a name.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Checksum of the --url.")] = None,
    json: JsonFile = None,
) -> None:
    """Download a public data set, verify and unpack it, and write its description.

    A call that was stopped goes on where it stopped; one that has nothing to do does nothing.
    """
    if name is not None and (url is not None or sha256 is not None):
        raise InputError("a name and --url are given; expected one of the two")
    require_writable(out / "x")
    check_file(json, [out, out / STAMP], only_json=True)
    source: Source | None
    try:
        if name == small_coco.NAME:
            source = _download_small(out, parts, pictures)
        elif pictures is not None:
            raise InputError(f"--pictures goes with {small_coco.NAME}")
        else:
            source = _download(out, name, parts, url, sha256)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the same command goes on from here") from None
    if json is not None:
        write_json(json, _document(out, source))


def _document(out: Path, source: Source | None) -> dict[str, Any]:
    """What lies below `out` now; source: what it is of, None for an archive of --url."""
    folders = list(read_stamps(out))
    places = folders
    if source is not None:
        places = list(dict.fromkeys(images for _, images, _ in source.description.values()))
    description = description_place(source, out) if source else None
    return {
        "out": str(out),
        "name": source.name if source else None,
        "description": str(description) if description and description.is_file() else None,
        "folders": folders,
        "images": {p: len(find_pictures(out / p)) for p in places if (out / p).is_dir()},
    }


def _download(
    out: Path, name: str | None, parts: str | None, url: str | None, sha256: str | None
) -> Source | None:
    source = find_source(name) if name is not None else None
    if source is not None:
        archives = find_parts(source, parts)
        console.print(f"{source.name}: {source.licence}")
    else:
        archives = {"archive": _named_archive(url, sha256, parts)}
    is_new = obtain(archives, out, progress, console.print)
    # Not each time: a person may have changed it.
    if source is not None and (is_new or not description_place(source, out).is_file()):
        described = describe(source, out)
        if described:
            console.print(f"{described}: pass it as --data")
    return source


def _download_small(out: Path, parts: str | None, pictures: int | None) -> Source:
    if parts is not None:
        raise InputError(f"{small_coco.NAME} has no parts; leave out --parts")
    console.print(f"{small_coco.NAME}: {CATALOGUE['coco'].licence}")
    n_pictures = pictures or small_coco.N_PICTURES
    description = small_coco.obtain_small(out, n_pictures, progress, console.print)
    if description:
        console.print(f"{description}: pass it as --data")
    return replace(CATALOGUE["coco"], name=small_coco.NAME)


def _named_archive(url: str | None, sha256: str | None, parts: str | None) -> Archive:
    if url is None:
        raise InputError(f"name one of {', '.join(NAMES)}, or give --url with --sha256")
    if parts is not None:
        raise InputError("--parts goes with a name; an archive of --url is taken whole")
    if sha256 is None:
        raise InputError("--url needs --sha256 SUM, as its publisher tells it or sha256sum counts")
    check_address(url)
    stem = Path(urllib.parse.urlsplit(url).path).name.split(".")[0]
    return Archive(stem or "archive", (url,), Digest("sha256", sha256.lower()))
