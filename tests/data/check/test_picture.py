"""A file is told by its content: format, size, mode, orientation, digest, faults."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from PIL import Image

from yolo_slim.data.check.picture import look_at, thumbnail_of
from yolo_slim.data.image import read_image
from yolo_slim.errors import DataError

FORMATS = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "WEBP": "webp"}


@pytest.mark.parametrize("name", FORMATS)
def test_format_size_and_digest_of_a_sound_file(name, scene, tmp_path):
    file = tmp_path / "a.dat"
    Image.fromarray(scene()).save(file, FORMATS[name])
    found = look_at(file)
    assert (found.format, found.size_wh, found.fault, found.missing) == (
        name,
        (120, 90),
        None,
        False,
    )
    assert found.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.thumbnail is not None and found.thumbnail.shape == (16, 17)


@pytest.mark.parametrize(
    ("mode", "bits"), [("L", 8), ("P", 8), ("RGBA", 8), ("LA", 8), ("1", 8), ("I;16", 16)]
)
def test_modes_of_png(mode, bits, tmp_path):
    Image.new(mode, (6, 4)).save(tmp_path / "a.png")
    found = look_at(tmp_path / "a.png")
    assert (found.mode, found.bits, found.fault) == (mode, bits, None)
    assert found.thumbnail is None, "all of one shade"


def test_sixteen_bits_in_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 40_000, np.uint16))
    assert look_at(tmp_path / "a.png").bits == 16


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("value", [0, 1, 6, 9, None])
def test_orientation(suffix, value, scene, tmp_path):
    exif = Image.Exif()
    if value is not None:
        exif[0x0112] = value
    Image.fromarray(scene()).save(tmp_path / f"a.{suffix}", exif=exif)
    found = look_at(tmp_path / f"a.{suffix}")
    assert (found.orientation, found.size_wh) == (value, (120, 90))


def test_a_turned_tiff_is_turned_by_every_reader(scene, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene()).save(tmp_path / "a.tiff", exif=exif)
    found = look_at(tmp_path / "a.tiff")
    assert found.orientation is None
    assert found.size_wh == read_image(tmp_path / "a.tiff").shape[1::-1] == (90, 120)


def test_exif_that_makes_no_sense_is_none(scene, tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.jpg", exif=b"Exif\0\0 no such thing")
    found = look_at(tmp_path / "a.jpg")
    assert (found.orientation, found.fault) == (None, None)


def test_no_file_makes_it_raise_and_it_agrees_with_the_reader(scene, tmp_path):
    whole = cv2.imencode(".jpg", scene())[1].tobytes()
    rng = np.random.default_rng(3)
    contents = [b"", b"hello", whole, whole[:-2], whole[:200], whole + b"tail"]
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(0, 400, 4):
            broken[place] = rng.integers(256)
        contents.append(bytes(broken))
    n_faults = 0
    for content in contents:
        (tmp_path / "a.jpg").write_bytes(content)
        found = look_at(tmp_path / "a.jpg")
        try:
            read_image(tmp_path / "a.jpg")
        except DataError as error:
            n_faults += 1
            assert found.fault and found.fault in str(error)
        else:
            assert found.fault is None
    assert n_faults >= 4


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path, tmp_path / "none.jpg", tmp_path / ("n" * 400)):
        assert look_at(path).missing


def test_a_thumbnail_is_the_mean_of_areas(scene):
    picture = cv2.resize(scene(), (17 * 5, 16 * 4))
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(float)
    means = grey.reshape(16, 4, 17, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(thumbnail_of(picture), means, atol=0.51)
