"""What an HTTP server's answer says of a file."""

from __future__ import annotations

import http.client
import re
import urllib.request
from dataclasses import dataclass

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Whole:
    """Where the answer begins, and how long the whole file is, if the server says so."""

    start: int
    size: int | None

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Whole:
        length = response.headers.get("Content-Length")
        if response.status != 206:
            return cls(0, int(length) if length and length.isdigit() else None)
        found = _RANGE.fullmatch(response.headers.get("Content-Range") or "")
        if not found:
            return cls(-1, None)
        return cls(int(found[1]), None if found[3] == "*" else int(found[3]))


def opener() -> urllib.request.OpenerDirector:
    """HTTP alone: no file:, no ftp:, neither by name nor by being sent there."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def validator_of(response: http.client.HTTPResponse) -> str | None:
    """What names this version of the file: a strong ETag, else the date of its last change."""
    etag: str | None = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def total_of(content_range: str | None) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", content_range or "")
    return int(found[1]) if found else None
