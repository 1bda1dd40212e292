"""Findings are values of known kinds, and the guide tells every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_slim.data.check.finding import KINDS, Finding
from yolo_slim.findings import SEVERITIES, by_kind, severities

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "data-check.md"


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'rust' is not in KINDS"):
        Finding("rust", "train", "somewhere")


def test_groups_hold_every_finding_once_the_gravest_first():
    findings = [Finding(kind, "train", "x", "a.jpg", 3) for kind in reversed(KINDS)] * 2
    groups = by_kind(findings, KINDS)
    assert {kind: len(found) for kind, found in groups.items()} == dict.fromkeys(KINDS, 2)
    ranks = [SEVERITIES.index(KINDS[kind].severity) for kind in groups]
    assert ranks == sorted(ranks)
    assert sum(severities(findings).values()) == len(findings)


def test_a_document_holds_what_a_person_is_told():
    finding = Finding("leak", "val", "the same bytes", "a.jpg", None, ("train", "b.jpg"))
    document = finding.document()
    assert document["severity"] == "fault" and document["advice"] == KINDS["leak"].advice
    assert document["twin"] == {"split": "train", "file": "b.jpg"}
    assert (finding.where(), Finding("leak", "val", "x").where()) == ("val: a.jpg", "val")


def test_the_guide_has_a_row_for_each_kind_with_its_severity():
    rows = [line.split("|")[1:3] for line in GUIDE.read_text().splitlines() if line.startswith("|")]
    told = {kind.strip(): severity.strip() for kind, severity in rows}
    for kind, known in KINDS.items():
        assert told.get(kind) == known.severity, kind
