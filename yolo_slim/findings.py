"""What a check can find: how bad it is, and what to do about it; and what it found, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Severity = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """Something that can be found; advice: what to do about it."""

    severity: Severity
    advice: str


class Found(Protocol):
    """One thing found; kind: a key of the table of all that can be found."""

    @property
    def kind(self) -> str: ...

    @property
    def severity(self) -> Severity: ...


AnyFound = TypeVar("AnyFound", bound=Found)


def by_kind(findings: Iterable[AnyFound], kinds: Mapping[str, Kind]) -> dict[str, list[AnyFound]]:
    """The findings of each kind, in the order of severity, then of `kinds`."""
    groups: dict[str, list[AnyFound]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    order = sorted(kinds, key=lambda kind: SEVERITIES.index(kinds[kind].severity))
    return {kind: groups[kind] for kind in order if kind in groups}


def severities(findings: Iterable[Found]) -> dict[Severity, int]:
    """How many there are of each severity."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in SEVERITIES}
