"""What the check of a graph has found: a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from yolo_slim.export.tensorrt_rules.rules import RULES, SEVERITIES, Severity


@dataclass(frozen=True)
class Finding:
    """One thing found.

    rule: a key of RULES. node: its name; where it has none, its operator and first output; empty
    for the whole model. message: what was found, and what was expected.
    """

    rule: str
    severity: Severity
    node: str
    message: str

    @property
    def advice(self) -> str:
        return RULES[self.rule].advice

    def document(self) -> dict[str, str]:
        """What --json writes of it."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "node": self.node,
            "message": self.message,
            "advice": self.advice,
        }


def found(rule: str, node: str, message: str) -> Finding:
    """A finding with the severity of its rule. Raises KeyError for a rule that is not in RULES."""
    return Finding(rule, RULES[rule].severity, node, message)


def by_rule(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of each rule, in the order of severity, then of RULES."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.rule, []).append(finding)
    order = sorted(RULES, key=lambda rule: SEVERITIES.index(RULES[rule].severity))
    return {rule: groups[rule] for rule in order if rule in groups}


def severities(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many there are of each severity."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in SEVERITIES}
