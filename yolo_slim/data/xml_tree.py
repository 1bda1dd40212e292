"""XML as plain elements that know their line; entities are refused, so no file can blow up."""

from __future__ import annotations

import re
import xml.parsers.expat as expat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from yolo_slim.errors import DataError


@dataclass
class Element:
    """<tag>text</tag> with its children in order; `line` is where it opens, from 1."""

    tag: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, tag: str) -> Element | None:
        """The first direct child of that tag."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> list[Element]:
        """All direct children of that tag."""
        return [child for child in self.children if child.tag == tag]

    def text_of(self, tag: str) -> str | None:
        """The text of the first child of that tag, blanks around it gone; None without one."""
        found = self.child(tag)
        return None if found is None else found.text.strip()


_DECLARED = re.compile(rb"""<\?xml[^>]*?\bencoding=["']([\w.-]+)["']""")


def read_xml(path: Path) -> Element:
    """The root element of an XML file in any encoding that it declares.

    Python's own ElementTree forgets lines, which an error message needs, and expands entities,
    by which a file of a kilobyte becomes gigabytes.

    Raises DataError with the line where it is not XML, or declares an entity.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    content, encoding = _for_expat(content, path)
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    document = Element("", 0)
    open_elements = [document]

    def start(tag: str, _: dict[str, str]) -> None:
        element = Element(tag, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    def entity(name: str, *_: object) -> NoReturn:
        raise DataError(
            f"{path}:{parser.CurrentLineNumber} declares the entity `{name}`. Annotations need "
            "none, and some are made to fill the memory: delete the <!DOCTYPE> of the file."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(f"{path}:{error.lineno} is not XML: {reason}.") from error
    except (LookupError, ValueError) as error:
        raise DataError(f"{path} is not XML: {error}.") from error
    return document.children[0]


def _for_expat(content: bytes, path: Path) -> tuple[bytes, str | None]:
    """The content as UTF-8 and that name, since expat has few encodings (no GB2312, no Shift_JIS);
    or as it is, and None, where none is declared in plain letters."""
    declared = _DECLARED.match(content)
    if declared is None:
        return content, None
    encoding = declared[1].decode()
    try:
        return content.decode(encoding).encode(), "utf-8"
    except LookupError:
        raise DataError(f"{path} is not XML: unknown encoding: {encoding}.") from None
    except UnicodeError as error:
        raise DataError(f"{path} is not {encoding}, as it declares: {error}.") from None
