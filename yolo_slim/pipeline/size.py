"""How large and how fast a bundle is, as JSON holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals


@dataclass(frozen=True)
class ModelSize:
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
    ) -> ModelSize:
        total = totals(bundle.cfg)
        return cls(total.parameters, total.macs, latency_ms, file_bytes)

    def known(self) -> dict[str, float]:
        """Without what was not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}
