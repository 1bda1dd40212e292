"""What the check of a graph has found: a value."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.export.tensorrt_rules.rules import RULES
from yolo_slim.findings import Severity


@dataclass(frozen=True)
class Finding:
    """One thing found.

    kind: a key of RULES. node: its name; where it has none, its operator and first output; empty
    for the whole model. message: what was found, and what was expected.
    """

    kind: str
    severity: Severity
    node: str
    message: str

    @property
    def advice(self) -> str:
        return RULES[self.kind].advice

    def document(self) -> dict[str, str]:
        """What --json writes of it."""
        return {
            "rule": self.kind,
            "severity": self.severity,
            "node": self.node,
            "message": self.message,
            "advice": self.advice,
        }


def found(rule: str, node: str, message: str) -> Finding:
    """A finding with the severity of its rule. Raises KeyError for a rule that is not in RULES."""
    return Finding(rule, RULES[rule].severity, node, message)
