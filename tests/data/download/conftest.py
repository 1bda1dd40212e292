"""A server on this machine that gives files, and can be told to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from yolo_slim.data.download.catalogue import Archive, Digest
from yolo_slim.data.download.fetch import Patience

NOW = Patience(attempts=3, pause_s=0.001, timeout_s=5)


@dataclass
class Behaviour:
    """files: path -> content. etags, last_modified: what names a version; None leaves it out.

    cut: after how many bytes of an answer the connection ends, one number an answer. statuses: to
    answer with in place of the file, one an answer. asked: the Range of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etag: bool = True
    last_modified: str | None = None
    ranges: bool = True
    says_length: bool = True
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: dict[str, str] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def archive(self, name: str, content: bytes, **options) -> Archive:
        """Serves `content` under that name."""
        self.files[f"/{name}"] = content
        digest = Digest("sha256", hashlib.sha256(content).hexdigest())
        return Archive("folder", (f"{self.url}/{name}",), digest, **options)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told: Behaviour = self.server.behaviour
        wanted = self.headers.get("Range")
        told.asked.append(wanted)
        if told.statuses:
            self.send_error(told.statuses.pop(0))
            return
        if self.path in told.redirect:
            self.send_response(302)
            self.send_header("Location", told.redirect[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = told.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        names = {"Last-Modified": told.last_modified} if told.last_modified else {}
        if told.etag:
            names["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        start = 0
        if wanted and told.ranges and self.headers.get("If-Range") in names.values():
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        else:
            self.send_response(200)
        if told.says_length:
            self.send_header("Content-Length", str(len(content) - start))
        for name, value in names.items():
            self.send_header(name, value)
        self.end_headers()
        body = content[start:]
        with contextlib.suppress(ConnectionError):  # the client may have enough
            self.wfile.write(body[: told.cut.pop(0)] if told.cut else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Behaviour]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.behaviour = Behaviour(url=f"http://127.0.0.1:{made.server_port}")
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made.behaviour
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def now() -> Patience:
    return NOW
