"""How large and how fast a bundle is, as JSON holds it."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals


@dataclass(frozen=True)
class Size:
    """Parameters, and multiply-accumulates of one image; what was not measured is None.

    latency_ms: median of one image, in the engine that was asked. file_bytes: of the file of its
    numbers.
    """

    parameters: int
    macs: int
    latency_ms: float | None = None
    file_bytes: int | None = None

    @classmethod
    def of(
        cls, bundle: Bundle, latency_ms: float | None = None, file_bytes: int | None = None
    ) -> Size:
        return cls(**size(bundle), latency_ms=latency_ms, file_bytes=file_bytes)


def size(bundle: Bundle) -> dict[str, int]:
    """What is known without measuring."""
    total = totals(bundle.cfg)
    return {"parameters": total.parameters, "macs": total.macs}
