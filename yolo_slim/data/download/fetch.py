"""One file from an HTTP server, in as many goes as it takes, verified before it has its name."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yolo_slim
from yolo_slim.data.download.answer import Whole, opener, total_of, validator_of
from yolo_slim.data.download.catalogue import Archive, Digest
from yolo_slim.data.download.part import Part
from yolo_slim.errors import DataError, RunError, YoloSlimError
from yolo_slim.files import room, told_bytes

Advance = Callable[[int, int], None]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long to try: `attempts` in a row without a byte, the pause doubling from `pause_s`."""

    attempts: int = 5
    pause_s: float = 1.0
    timeout_s: float = 60.0


def fetch(
    archive: Archive,
    path: Path,
    advance: Advance | None = None,
    patience: Patience | None = None,
) -> None:
    """Downloads `archive` to `path`; what came of it in an earlier call is not asked for again.

    Until it is whole and its checksum is right, the file is called `path` + `.part`; beside it a
    `.part.json` keeps what the server called that version, so that two are never joined.

    advance: called with (bytes done, bytes in all).

    Raises DataError where the address cannot be used, RunError where the server or the disk
    fails, or the file is another than was published.
    """

    def verify(data: Path) -> None:
        found = file_digest(data, archive.digest.algorithm)
        if found != archive.digest:
            raise RunError(
                f"{archive.urls[0]} has {found}, expected {archive.digest}: it was removed. "
                "Try again; if it stays so, the file is not the one that was published."
            )

    fetch_verified(archive.urls, path, verify, archive.size, advance, patience)


def fetch_verified(
    urls: Sequence[str],
    path: Path,
    verify: Callable[[Path], None],
    size: int | None = None,
    advance: Advance | None = None,
    patience: Patience | None = None,
) -> None:
    """The same for a file that `verify` knows by other means: it raises RunError for a wrong one.

    urls: tried in this order. size: in bytes, None if unknown.
    """
    part = Part(path)
    failures: list[str] = []
    error_kind: type[YoloSlimError] = DataError
    for url in urls:
        check_address(url)
        try:
            _fetch_from(
                url, size, part, advance or (lambda done, total: None), patience or Patience()
            )
            break
        except _Refused as error:
            failures.append(f"{error}: look whether it has moved")
        except _GaveUp as error:
            failures.append(f"{error}; the same command goes on where this one stopped")
            error_kind = RunError
            if part.size:  # another address would begin anew
                raise RunError(". ".join(failures) + ".") from error
    else:
        raise error_kind(". ".join(failures) + ".")
    try:
        verify(part.data)
    except RunError:
        part.remove()
        raise
    part.data.replace(path)
    part.remove()


def file_digest(path: Path, algorithm: str) -> Digest:
    """The checksum of a file."""
    with path.open("rb") as file:
        value = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return Digest(algorithm, value.hexdigest())  # type: ignore[arg-type]


class _Refused(Exception):
    """The server does not give this file: another attempt would be in vain."""


class _GaveUp(Exception):
    """The server might give it, but did not in all attempts."""


class _Broken(Exception):
    """The connection ended early; what came is kept."""


def _fetch_from(
    url: str, size: int | None, part: Part, advance: Advance, patience: Patience
) -> None:
    """Attempts, until the part is whole; each that brought a byte starts the counting anew."""
    failed = 0
    while True:
        before = part.size
        try:
            _attempt(url, size, part, advance, patience.timeout_s)
            return
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"{error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                raise _Refused(f"{url}: the server says {reason}") from error
        except (_Broken, OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and not _is_of_network(error):
                raise
            cause = getattr(error, "reason", error)
            reason = str(cause) or type(error).__name__
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise _Refused(f"{url}: {reason}") from error
        failed = 1 if part.size > before else failed + 1
        if failed >= patience.attempts:
            raise _GaveUp(f"{url}: {reason}, after {failed} attempts")
        time.sleep(patience.pause_s * 2 ** (failed - 1))


def _attempt(url: str, size: int | None, part: Part, advance: Advance, timeout_s: float) -> None:
    """One request; what comes is appended to the part, or begins it anew."""
    headers = {"User-Agent": f"yolo-slim/{yolo_slim.__version__}", "Accept-Encoding": "identity"}
    validator = part.validator(url)
    start = part.size if validator else 0
    if start and validator:
        # Bytes from there on, if the file is still the same; the whole file if not.
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        with error:
            total = total_of(error.headers.get("Content-Range"))
        if total == start:  # there is nothing after the last byte: the part is whole
            return
        part.remove()
        raise _Broken("the part was longer than the file") from error
    with response:
        whole = Whole.of(response)
        if whole.start not in (0, start):
            part.remove()
            raise _Broken(f"asked for bytes from {start}, the server sent others")
        if whole.start != start or start == 0:
            part.begin(url, validator_of(response))
            start = 0
        _check_size(url, size, whole.size)
        total = whole.size or size
        _check_room(part.data.parent, (total or 0) - start)
        _append(response, part.data, start, total, advance)


def _append(
    response: http.client.HTTPResponse,
    path: Path,
    start: int,
    total: int | None,
    advance: Advance,
) -> None:
    done = start
    with path.open("r+b" if start else "wb") as file:
        file.seek(start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise RunError(f"{response.url} sends more than the {total} bytes it promised.")
            advance(done, max(done, total or 0))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {done} of {total} bytes")


def check_address(url: str) -> None:
    """Raises DataError for what is no address of HTTP."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(letter <= " " for letter in url):
        raise DataError(f"{url!r} is no address to download from. Expected http:// or https://.")


def _check_size(url: str, expected: int | None, found: int | None) -> None:
    if expected is not None and found is not None and found != expected:
        raise RunError(
            f"{url} has {found} bytes, expected {expected}: it is not the file that was published."
        )


def _check_room(folder: Path, needed: int) -> None:
    if needed > (free := room(folder)):
        raise RunError(
            f"{folder} has room for {told_bytes(free)}, {told_bytes(needed)} are to come: make "
            "room, or name another folder."
        )


def _is_of_network(error: OSError) -> bool:
    """Not of the disk: those carry the name of a file, or say that it is full."""
    kinds = (urllib.error.URLError, ssl.SSLError, ConnectionError, TimeoutError)
    return isinstance(error, kinds) or (error.filename is None and error.errno is None)
