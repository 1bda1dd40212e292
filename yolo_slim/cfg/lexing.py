"""Darknet's lexing rules: lines to sections of keys and values, and values to numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeVar

from yolo_slim.cfg.limits import MAX_KEYS, MAX_LINKS, MAX_NUMBERS, MAX_SECTIONS
from yolo_slim.cfg.sections import Extras
from yolo_slim.errors import CfgError

ALIASES = {
    "network": "net", "conv": "convolutional", "conn": "connected", "max": "maxpool",
    "avg": "avgpool", "local_avg": "local_avgpool", "soft": "softmax",
}  # fmt: skip

T = TypeVar("T")

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Block:
    """The keys of one section as text, with typed getters that name the line of a bad value.

    A key that nobody asked for is an extra. `notes` collects what was read as Darknet reads it and
    was hardly meant so.
    """

    def __init__(self, kind: str, line: int, source: str) -> None:
        self.kind, self.line, self.source = kind, line, source
        self.pairs: list[tuple[str, str, int]] = []
        self.used: set[str] = set()
        self.notes: list[str] = []

    @property
    def where(self) -> str:
        return f"{self.source}:{self.line} [{self.kind}]"

    def raw(self, key: str) -> tuple[str, int] | None:
        self.used.add(key)
        # Darknet searches from the front: of two equal keys the first counts.
        return next(((value, line) for name, value, line in self.pairs if name == key), None)

    def note(self, text: str) -> None:
        self.notes.append(f"{self.where} {text}")

    def get_text(self, key: str, default: str) -> str:
        found = self.raw(key)
        return found[0] if found else default

    def get_int(self, key: str, default: int, at_least: int = 0, at_most: int = 1 << 20) -> int:
        number = self.get_float(key, default)
        found = self.raw(key)
        # Darknet's atoi stops at an exponent: 1e3 would be 1 there.
        exponent = found is not None and "e" in found[0].split("#")[0].lower()
        if exponent or number != int(number) or not at_least <= number <= at_most:
            line = found[1] if found else self.line
            value = found[0] if found else default
            raise CfgError(
                f"{self.source}:{line} [{self.kind}] {key}={value}: "
                f"expected a whole number from {at_least} to {at_most}"
            )
        return int(number)

    def get_flag(self, key: str) -> bool:
        return self.get_float(key, 0) != 0

    def get_float(self, key: str, default: float) -> float:
        found = self.raw(key)
        return default if found is None else self._number(key, *found)

    def get_floats(self, key: str, at_most: int = MAX_NUMBERS) -> tuple[float, ...]:
        found = self.raw(key)
        if found is None:
            return ()
        value, line = found
        parts = [part for part in value.split("#")[0].split(",") if part]
        if len(parts) > at_most:
            raise CfgError(
                f"{self.source}:{line} [{self.kind}] {key} has {len(parts):,} numbers: expected at "
                f"most {at_most:,}"
            )
        return tuple(self._number(key, part, line) for part in parts)

    def get_ints(self, key: str, at_most: int = MAX_NUMBERS) -> tuple[int, ...]:
        numbers = self.get_floats(key, at_most)
        for number in numbers:
            if number != int(number) or abs(number) > 1 << 20:
                raise CfgError(f"{self.where} {key}: expected whole numbers, found {number:g}")
        return tuple(int(n) for n in numbers)

    def get_choice(self, key: str, choices: Mapping[str, T], default: str) -> T:
        """The meaning of a word; `choices` maps every word that Darknet knows to it."""
        word = self.get_text(key, default)
        if word not in choices:
            found = self.raw(key)
            line = found[1] if found else self.line
            raise CfgError(
                f"{self.source}:{line} [{self.kind}] {key}={word[:40]}: expected one of "
                + ", ".join(choices)
            )
        return choices[word]

    def links(self, key: str, index: int) -> tuple[int, ...]:
        """Absolute section indices: a negative number counts back from this section."""
        numbers = self.get_ints(key)
        if not numbers:
            raise CfgError(f"{self.where} needs {key}=, the sections it reads from")
        if len(numbers) > MAX_LINKS:
            raise CfgError(
                f"{self.where} {key}= names {len(numbers)} sections, at most {MAX_LINKS}"
            )
        links = tuple(n if n >= 0 else index + n for n in numbers)
        for number, link in zip(numbers, links, strict=True):
            if not 0 <= link < index:
                raise CfgError(
                    f"{self.where} {key}={number} points at section {link}; this is section "
                    f"{index}, so 0 to {index - 1} can be read"
                )
        return links

    def link(self, key: str, index: int) -> int:
        """The one section that `key` names."""
        links = self.links(key, index)
        if len(links) != 1:
            raise CfgError(f"{self.where} {key}= names {len(links)} sections, expected 1")
        return links[0]

    def refuse(self, *keys: str, neutral: float = 0) -> None:
        """These keys change what is computed, and are not supported unless they are `neutral`."""
        for key in keys:
            found = self.raw(key)
            if found and found[0] not in (f"{neutral:g}", "none", ""):
                raise CfgError(
                    f"{self.source}:{found[1]} [{self.kind}] {key}={found[0]} is not supported: "
                    "the network would compute something else without it"
                )

    def extras(self) -> Extras:
        seen: dict[str, str] = {}
        for key, value, _ in self.pairs:
            if key not in self.used:
                seen.setdefault(key, value)
        return tuple(seen.items())

    def _number(self, key: str, value: str, line: int) -> float:
        # Darknet's atof stops at a comment. float() alone would read 1_0, and digits of other
        # scripts, which Darknet does not.
        digits = value.split("#")[0]
        number = float(digits) if NUMBER.fullmatch(digits) else math.nan
        if not math.isfinite(number):
            raise CfgError(
                f"{self.source}:{line} [{self.kind}] {key}={value[:40]}: expected a number"
            )
        return number


def lex(text: str, source: str) -> list[Block]:
    """The sections of a cfg as blocks of keys, blanks and comments gone."""
    blocks: list[Block] = []
    for line_number, line in enumerate(text.split("\n"), start=1):
        line = re.sub(r"[ \t\r\n]", "", line)  # Darknet deletes blanks everywhere in the line
        if not line or line[0] in "#;\0":
            continue
        if line[0] == "[":
            if len(blocks) > MAX_SECTIONS:  # the first is [net]
                raise CfgError(f"{source}:{line_number}: more than {MAX_SECTIONS} sections")
            kind = line[1:].split("]")[0]
            blocks.append(Block(ALIASES.get(kind, kind), line_number, source))
            if line != f"[{kind}]":
                blocks[-1].note(f"is read out of {line[:40]!r}, which Darknet would not know")
            continue
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise CfgError(
                f"{source}:{line_number}: expected [section] or key=value, found {line[:40]!r}"
            )
        if not blocks:
            raise CfgError(f"{source}:{line_number}: {key}= stands before the first [section]")
        if len(blocks[-1].pairs) == MAX_KEYS:
            raise CfgError(f"{source}:{line_number}: more than {MAX_KEYS} keys in a section")
        blocks[-1].pairs.append((key, value, line_number))
    return blocks
