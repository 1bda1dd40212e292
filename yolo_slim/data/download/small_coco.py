"""The first pictures of COCO, fetched one by one: a set to try things on, without 20 GB."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolo_slim.data.download.catalogue import CATALOGUE, Archive
from yolo_slim.data.download.fetch import Advance, Patience, fetch, fetch_verified
from yolo_slim.data.download.obtain import (
    Progress,
    downloads_folder,
    is_whole,
    write_description,
)
from yolo_slim.data.download.stamps import check_free, read_stamps, write_stamps
from yolo_slim.data.image import is_complete, read_size
from yolo_slim.errors import DataError, RunError
from yolo_slim.files import whole_file

NAME = "coco-small"
N_PICTURES = 128

_DESCRIPTION = f"{NAME}.yaml"
_SPLITS = ("train", "val")
_THREADS = 8  # a server on the other side of an ocean answers slowly, not one at a time


@dataclass(frozen=True)
class Place:
    """annotations: the archive of COCO's own; pictures: where each lies, by folder and name."""

    annotations: Archive = CATALOGUE["coco"].parts["annotations"]
    pictures: str = "http://images.cocodataset.org"


def obtain_small(
    out: Path,
    n_pictures: int,
    progress: Progress,
    tell: Callable[[str], None],
    patience: Patience | None = None,
    place: Place | None = None,
) -> Path | None:
    """Puts the `n_pictures` pictures of lowest id of train2017 and of val2017 below `out`.

    Gives back the description, None where it and all else was there already. COCO publishes no
    checksum of a picture: it must be complete and have the size that the (verified) annotations
    say. Pictures that came are kept when a call is stopped.

    Raises as `obtain` does.
    """
    place = place or Place()
    there = read_stamps(out)
    origin = f"the first {n_pictures} pictures"
    for split in _SPLITS:
        check_free(out / f"{split}2017", origin, there)
    missing = [s for s in _SPLITS if not (out / f"{s}2017").is_dir()]
    if not missing:
        tell(f"{out}: is there already")
        return None if (out / _DESCRIPTION).is_file() else _describe(out)
    with downloads_folder(out) as downloads:
        packed = downloads / place.annotations.file_name
        if not is_whole(packed, place.annotations):
            with progress("download annotations") as advance:
                fetch(place.annotations, packed, advance, patience)
        for split in missing:
            folder = f"{split}2017"
            document = first_images(_read_instances(packed, folder), n_pictures)
            with progress(f"download {split}") as advance:
                _fetch_pictures(document, downloads / folder, folder, place, advance, patience)
            with whole_file(out / "annotations" / f"instances_{folder}.json") as temporary:
                temporary.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
            (downloads / folder).rename(out / folder)
            there[folder] = origin
            write_stamps(out, there)
            tell(f"{out / folder}: {len(document['images'])} files")
        packed.unlink()
    return _describe(out)


def first_images(document: dict[str, Any], n_images: int) -> dict[str, Any]:
    """The COCO document with the images of lowest id alone, and what is marked in them."""
    images = sorted(document["images"], key=lambda image: image["id"])[:n_images]
    kept = {image["id"] for image in images}
    annotations = [a for a in document["annotations"] if a["image_id"] in kept]
    return {**document, "images": images, "annotations": annotations}


def _describe(out: Path) -> Path:
    lines = [
        f"{s}: {{images: {s}2017, annotations: annotations/instances_{s}2017.json}}"
        for s in _SPLITS
    ]
    return write_description(out / _DESCRIPTION, CATALOGUE["coco"].licence, lines)


def _read_instances(packed: Path, folder: str) -> dict[str, Any]:
    """The instances of a split, straight out of the archive; its checksum has been verified."""
    try:
        with zipfile.ZipFile(packed) as archive:
            found = json.loads(archive.read(f"annotations/instances_{folder}.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"{packed} has no instances_{folder}.json: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{packed}: instances_{folder}.json holds no COCO annotations.")
    return found


def _fetch_pictures(
    document: dict[str, Any],
    target: Path,
    folder: str,
    place: Place,
    advance: Advance,
    patience: Patience | None,
) -> None:
    target.mkdir(exist_ok=True)
    images = document["images"]

    def fetch_one(image: dict[str, Any]) -> None:
        name, size_wh = Path(image["file_name"]).name, (image["width"], image["height"])
        path, url = target / name, f"{place.pictures}/{folder}/{name}"

        def verify(data: Path) -> None:
            try:
                good = read_size(data) == size_wh and is_complete(data.read_bytes())
            except DataError:
                good = False
            if not good:
                raise RunError(f"{url} is not the picture of {size_wh[0]}x{size_wh[1]} pixels.")

        if not path.is_file():
            fetch_verified([url], path, verify, patience=patience)

    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(fetch_one, image) for image in images]
        try:
            for done, future in enumerate(futures, 1):
                future.result()
                advance(done, len(images))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
