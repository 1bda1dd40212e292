"""What can be downloaded by name: where it lies, how to know it, what is left of it."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from yolo_slim.errors import DataError


@dataclass(frozen=True)
class Digest:
    """A checksum as it was published. MD5 tells a damaged file, not a forged one.

    Raises DataError for a value that is none of that algorithm.
    """

    algorithm: Literal["md5", "sha256"]
    value: str

    def __post_init__(self) -> None:
        length = {"md5": 32, "sha256": 64}[self.algorithm]
        if len(self.value) != length or set(self.value) - set("0123456789abcdef"):
            raise DataError(
                f"{self.value!r} is no {self.algorithm} sum. Expected {length} digits of 0-9, a-f."
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True)
class Archive:
    """One file of a data set, a .zip or .tar.

    folder: where its content is put. urls: tried in this order. size: in bytes, None if unknown.
    inside: the folder within the archive whose content is wanted; '' takes everything.
    """

    folder: str
    urls: tuple[str, ...]
    digest: Digest
    size: int | None = None
    inside: str = ""

    @property
    def file_name(self) -> str:
        """What to call it on disk, whatever the address holds.

        >>> Archive("x", ("http://h/a%20b/../c d.zip?e=/f",), Digest("md5", "0" * 32)).file_name
        'c_d.zip'
        """
        last = urllib.parse.urlsplit(self.urls[0]).path.rsplit("/", 1)[-1]
        return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".") or "archive"


@dataclass(frozen=True)
class Source:
    """A data set: its archives by the name of the part that they are.

    description: split -> (images, annotations), below the folder of the set; a split is described
    where all its parts have been asked for. licence: what a person must know before using it.
    """

    name: str
    parts: Mapping[str, Archive]
    description: Mapping[str, tuple[tuple[str, ...], str, str]]
    licence: str


_COCO = "http://images.cocodataset.org"
_VOC = (
    "http://host.robots.ox.ac.uk/pascal/VOC",
    "https://thor.robots.ox.ac.uk/pascal/VOC",
)


def _voc(year: str, file_name: str, folder: str, md5: str, size: int) -> Archive:
    urls = tuple(f"{host}/voc{year}/{file_name}" for host in _VOC)
    return Archive(folder, urls, Digest("md5", md5), size, f"VOCdevkit/VOC{year}")


CATALOGUE: dict[str, Source] = {
    "coco": Source(
        "coco",
        {
            "train": Archive(
                "train2017",
                (f"{_COCO}/zips/train2017.zip",),
                Digest("md5", "cced6f7f71b7629ddf16f17bbcfab6b2"),
                19_336_861_798,
                "train2017",
            ),
            "val": Archive(
                "val2017",
                (f"{_COCO}/zips/val2017.zip",),
                Digest("md5", "442b8da7639aecaf257c1dceb8ba8c80"),
                815_585_330,
                "val2017",
            ),
            "annotations": Archive(
                "annotations",
                (f"{_COCO}/annotations/annotations_trainval2017.zip",),
                Digest("md5", "f4bbac642086de4f52a3fdda2de5fa2c"),
                252_907_541,
                "annotations",
            ),
        },
        {
            "train": (
                ("train", "annotations"),
                "train2017",
                "annotations/instances_train2017.json",
            ),
            "val": (("val", "annotations"), "val2017", "annotations/instances_val2017.json"),
        },
        "annotations CC BY 4.0; each photo under its own Flickr licence, most for research only",
    ),
    "voc2007": Source(
        "voc2007",
        {
            "trainval": _voc(
                "2007",
                "VOCtrainval_06-Nov-2007.tar",
                "trainval2007",
                "c52e279531787c972589f7e41ab4ae64",
                460_032_000,
            ),
            "test": _voc(
                "2007",
                "VOCtest_06-Nov-2007.tar",
                "test2007",
                "b6e924de25625d8de591ea690078ad9f",
                451_020_800,
            ),
        },
        {
            "train": (("trainval",), "trainval2007/JPEGImages", "trainval2007/Annotations"),
            "val": (("test",), "test2007/JPEGImages", "test2007/Annotations"),
        },
        "photos from Flickr under Flickr's terms of use, for research",
    ),
    "voc2012": Source(
        "voc2012",
        {
            "trainval": _voc(
                "2012",
                "VOCtrainval_11-May-2012.tar",
                "trainval2012",
                "6cd6e144f989b92b3379bac3b3de84fd",
                1_999_639_040,
            ),
        },
        {
            split: (
                ("trainval",),
                "trainval2012/JPEGImages",
                f"trainval2012/ImageSets/Main/{split}.txt",
            )
            for split in ("train", "val")
        },
        "photos from Flickr under Flickr's terms of use, for research",
    ),
}


OTHER_NAMES = {"voc": "voc2007"}
"""The year of VOC whose test images are public, which others' numbers are of."""


def find_source(name: str) -> Source:
    """The set of that name; of the same names in other letters too. DataError for others."""
    known = OTHER_NAMES.get(name.lower(), name.lower())
    if known in CATALOGUE:
        return CATALOGUE[known]
    names = ", ".join((*CATALOGUE, *OTHER_NAMES))
    raise DataError(f"no data set is called {name!r}. Expected {names}, coco-small, or --url.")


def find_parts(source: Source, names: str | None) -> dict[str, Archive]:
    """Parts named with commas between; all for None. DataError for a part that there is not."""
    if names is None:
        return dict(source.parts)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in source.parts]
    if unknown or not wanted:
        raise DataError(
            f"{source.name} has no part {', '.join(map(repr, unknown)) or repr(names)}. "
            f"Expected some of {', '.join(source.parts)}, with commas between."
        )
    return {name: source.parts[name] for name in source.parts if name in wanted}
