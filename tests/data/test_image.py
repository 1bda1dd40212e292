"""A picture is read whole, as it is stored, or refused with one message."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from yolo_slim.data import image as image_module
from yolo_slim.data.image import is_complete, read_image, read_size
from yolo_slim.errors import DataError


@pytest.fixture
def picture(rng) -> np.ndarray:
    """uint8 [40, 60, 3], smooth, so that JPEG keeps it nearly."""
    return cv2.resize(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), (60, 40))


def _encoded(picture: np.ndarray, suffix: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture[:, :, ::-1]).save(buffer, suffix, **options)
    return buffer.getvalue()


def _turned(picture: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    return _encoded(picture, "jpeg", quality=95, exif=exif)


def test_content_counts_not_the_name(picture, tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(_encoded(picture, "png"))
    np.testing.assert_array_equal(read_image(file), picture)
    assert read_size(file) == (60, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_every_kind_of_png_gives_three_channels(mode, tmp_path):
    file = tmp_path / "a.png"
    Image.new(mode, (6, 4)).save(file)
    image = read_image(file)
    assert (image.shape, image.dtype) == ((4, 6, 3), np.uint8)


def test_agrees_with_imread_but_for_the_orientation(picture, tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(_turned(picture))
    assert cv2.imread(str(file)).shape == (60, 40, 3)
    np.testing.assert_array_equal(read_image(file, upright=True), cv2.imread(str(file)))
    stored = read_image(file)
    assert stored.shape[1::-1] == read_size(file) == (60, 40)
    np.testing.assert_array_equal(np.rot90(stored, -1), cv2.imread(str(file)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [False, True])
def test_a_tiff_is_turned_whoever_reads_it(picture, tmp_path, orientation, upright):
    file = tmp_path / "a.tif"
    file.write_bytes(_encoded(picture, "tiff", tiffinfo={0x0112: orientation}))
    with Image.open(file) as opened:
        shown = np.asarray(opened.convert("RGB"))[:, :, ::-1]
    np.testing.assert_array_equal(read_image(file, upright=upright), shown)
    assert read_size(file) == shown.shape[1::-1] == ((60, 40) if orientation < 5 else (40, 60))


@pytest.mark.parametrize(("format_", "options"), [("jpeg", {}), ("jpeg", {"progressive": True})])
def test_bytes_after_the_end_do_no_harm(picture, tmp_path, format_, options):
    content = _encoded(picture, format_, **options)
    file = tmp_path / "a.jpg"
    file.write_bytes(content + b"\x00\xff\xff tail")
    np.testing.assert_array_equal(read_image(file), cv2.imdecode(np.frombuffer(content, "u1"), 1))


@pytest.mark.parametrize("format_", ["jpeg", "png", "bmp", "webp", "tiff", "gif", "ppm"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_picture_cut_short_is_a_data_error(picture, tmp_path, capfd, format_, share):
    content = _encoded(picture, format_)
    (tmp_path / "whole").write_bytes(content)
    assert read_image(tmp_path / "whole").shape == (40, 60, 3)
    (tmp_path / "cut").write_bytes(content[: min(int(len(content) * share), len(content) - 2)])
    with pytest.raises(DataError, match="cut "):
        read_image(tmp_path / "cut")
    if format_ != "tiff":
        assert capfd.readouterr().err == ""


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(picture):
    thumbnail = _encoded(picture[:8, :8], "jpeg")
    content = _encoded(picture, "jpeg")
    application = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = content[:2] + application + content[2:]
    assert is_complete(whole)
    assert not is_complete(whole[:-2])


@pytest.mark.parametrize("progressive", [False, True])
def test_any_prefix_of_a_jpeg_is_incomplete(picture, progressive):
    content = _encoded(picture, "jpeg", progressive=progressive)
    assert is_complete(content)
    assert not any(is_complete(content[:n]) for n in range(2, len(content)))


def test_a_damaged_header_and_text_are_data_errors(tmp_path):
    for content in (b"", b"hello", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        (tmp_path / "a.jpg").write_bytes(content)
        for read in (read_image, read_size):
            with pytest.raises(DataError, match=r"a\.jpg is not a picture"):
                read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("kind", "mode", "told"),
    [
        ("TGA", "RGB", "of the format TGA, which is not read: save it as PNG or JPEG"),
        ("ICO", "RGB", "of the format ICO, which is not read"),
        ("PCX", "RGB", "of the format PCX, which is not read"),
        ("SGI", "RGB", "of the format SGI, which is not read"),
        ("TIFF", "F", "is a TIFF of 32 bits a channel, which is not read: save it with 8 or 16"),
        ("TIFF", "I", "is a TIFF of 32 bits a channel, which is not read"),
        ("BMP", "RGB", "is damaged"),
    ],
)
def test_what_is_not_read_is_not_called_damaged(kind, mode, told, tmp_path, capfd):
    Image.new(mode, (16, 16)).save(tmp_path / "a", kind)
    if told == "is damaged":
        content = (tmp_path / "a").read_bytes()
        (tmp_path / "a").write_bytes(content[:-9])
    with pytest.raises(DataError, match=told):
        read_image(tmp_path / "a")
    assert capfd.readouterr() == ("", "")


def test_threads_leave_log_level_and_warning_filters_as_they_were(picture, tmp_path):
    content = _encoded(picture, "bmp")
    for number in range(40):
        (tmp_path / f"{number}.bmp").write_bytes(content if number % 2 else content[:-9])

    def read(number: int) -> bool:
        try:
            return read_image(tmp_path / f"{number}.bmp").shape == (40, 60, 3)
        except DataError:
            return False

    before = cv2.utils.logging.getLogLevel(), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(40))) == [False, True] * 20
    assert (cv2.utils.logging.getLogLevel(), list(warnings.filters)) == before


def test_missing_files_and_folders_are_data_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.jpg"):
        for read in (read_image, read_size):
            with pytest.raises(DataError, match="cannot be read"):
                read(path)


def test_huge_pictures_are_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(image_module, "_decode", lambda *_: pytest.fail("decoded"))
    for side in (10_001, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
        content += struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "a.png").write_bytes(content + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
        with pytest.raises(DataError, match="100 megapixels"):
            read_image(tmp_path / "a.png")


def test_real_pictures_are_complete(shared_data):
    files = sorted((shared_data / "coco" / "dev_val2017").glob("*.jpg"))
    assert files and all(is_complete(file.read_bytes()) for file in files)


@pytest.mark.parametrize(
    ("size_wh", "at_least_hw", "expected_hw"),
    [
        ((640, 480), (120, 160), (120, 160)),  # a quarter, exactly
        ((640, 480), (121, 160), (240, 320)),
        ((640, 480), (30, 40), (60, 80)),  # an eighth is the least
        ((640, 480), (480, 640), (480, 640)),
        ((640, 480), (481, 10), (480, 640)),
        ((642, 480), (100, 100), (240, 321)),  # 642 has no quarter
        ((641, 480), (100, 100), (480, 641)),
    ],
)
def test_a_jpeg_is_decoded_as_small_as_will_do(tmp_path, size_wh, at_least_hw, expected_hw):
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]]
    image = np.stack([rows * 255 // size_wh[1], columns * 255 // size_wh[0], rows // 4], axis=2)
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 98])
    found = read_image(path, at_least_hw=at_least_hw)
    assert found.shape[:2] == expected_hw
    whole = cv2.resize(read_image(path), expected_hw[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - whole).mean() < 1.5


def test_only_a_jpeg_is_decoded_smaller(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    assert read_image(path, at_least_hw=(8, 8)).shape == (64, 64, 3)
