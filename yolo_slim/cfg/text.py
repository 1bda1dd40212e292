"""Text to document and back: parsed once, printed in one form."""

from __future__ import annotations

from pathlib import Path

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.known_keys import note_unknown_keys
from yolo_slim.cfg.lexing import lex
from yolo_slim.cfg.readers import read_net, read_section
from yolo_slim.cfg.verify import verify
from yolo_slim.cfg.writers import write_net, write_section
from yolo_slim.errors import CfgError

MAX_TEXT_BYTES = 4 << 20


def parse(text: str, source: str = "<cfg>") -> Cfg:
    """Reads a cfg. `source` names it in messages.

    Raises CfgError for anything that this package would not compute as Darknet does: an unknown
    section, a key with a meaning that is not supported, a number that is none, a link to nowhere,
    shapes that do not fit.
    """
    blocks = lex(text, source)
    if not blocks or blocks[0].kind != "net":
        found = f"[{blocks[0].kind}]" if blocks else "an empty file"
        raise CfgError(f"{source}: a cfg starts with [net], found {found}")
    net = read_net(blocks[0])
    sections = tuple(read_section(block, index) for index, block in enumerate(blocks[1:]))
    for block in blocks:
        note_unknown_keys(block)
    cfg = Cfg(net, sections, source, tuple(note for block in blocks for note in block.notes))
    verify(cfg)
    return cfg


def read_cfg(path: Path) -> Cfg:
    """Reads a cfg file. Raises CfgError where it is missing, too long, or not legal."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_TEXT_BYTES:
            raise CfgError(f"{path}: {size_bytes:,} bytes; a cfg has at most {MAX_TEXT_BYTES:,}")
        raw = path.read_bytes()
    except OSError as error:
        raise CfgError(f"{path}: cannot be read ({error.strerror or error})") from None
    return parse(_decode(raw), source=path.name)


def render(cfg: Cfg) -> str:
    """Prints a cfg in one canonical form, links relative; `parse(render(cfg)) == cfg`."""
    sections = [write_section(section, index) for index, section in enumerate(cfg)]
    return "\n".join([write_net(cfg.net), *sections])


def _decode(raw: bytes) -> str:
    # A file saved by a Windows editor may start with a byte-order mark or be UTF-16.
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    return raw.decode("utf-8-sig", errors="replace")
