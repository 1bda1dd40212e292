"""What a build is asked for; what a package cannot do is refused before the work."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.errors import InputError
from yolo_slim.trt.api import Api, Flavor

ONE_IMAGE = (1, 1, 1)
PORTABLE = "portable"
"""An engine of TensorRT for RTX that was built for no GPU in particular."""


@dataclass(frozen=True)
class BuildSettings:
    """flavor: which package builds.

    compute_capability: of the GPU to build for, as '8.6'; for rtx alone, where None is an engine
    for every GPU of 8.0 and newer.
    batch: least, usual and greatest number of images at a time, 1 <= least <= usual <= greatest.
    workspace_mib: memory that a layer may use for itself; None for all there is.
    version_compatible: the engine runs in later versions, too; a copy of TensorRT's lean runtime,
    which is program code, goes with it.
    hardware_compatible: the engine runs on every GPU of Ampere and newer, more slowly.
    sparse_weights: kernels may be used that skip the zeros of 2:4 sparse weights.
    """

    flavor: Flavor = "tensorrt"
    compute_capability: str | None = None
    batch: tuple[int, int, int] = ONE_IMAGE
    workspace_mib: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    sparse_weights: bool = False

    @property
    def is_dynamic(self) -> bool:
        return self.batch != ONE_IMAGE


def read_batch(text: str) -> tuple[int, int, int]:
    """'1,4,8' is least, usual, greatest; '4' is 4 and no other. Raises InputError for all else."""
    parts = text.split(",")
    if len(parts) in (1, 3) and all(p.strip().isascii() and p.strip().isdigit() for p in parts):
        least, usual, greatest = (int(part) for part in (parts * 3 if len(parts) == 1 else parts))
        if 1 <= least <= usual <= greatest <= 1024:
            return least, usual, greatest
    raise InputError(
        f"--batch {text}: expected one number, or MIN,OPT,MAX with 1 <= MIN <= OPT <= MAX <= 1024"
    )


def check_settings(settings: BuildSettings, has_cache: bool = False) -> None:
    """Raises InputError for what is of the other package alone. Nothing is imported for it."""
    if settings.flavor == "tensorrt":
        if settings.compute_capability is not None:
            raise InputError(
                "--compute-capability is for --flavor rtx, which builds ahead of time; TensorRT "
                "builds for the GPU that it runs on"
            )
        return
    for option, given, reason in (
        ("--version-compatible", settings.version_compatible, "has no lean runtime"),
        ("--hardware-compatible", settings.hardware_compatible,
         "builds for GPUs of 8.0 and newer where no --compute-capability is named"),
        ("--timing-cache", has_cache, "times nothing before it runs"),
    ):  # fmt: skip
        if given:
            raise InputError(f"{option} is for --flavor tensorrt: TensorRT for RTX {reason}")


def known_capability(api: Api, text: str | None) -> str | None:
    """'8.6' for '8.6', '86' or 'sm86'. Raises InputError, with those known, for another."""
    if text is None:
        return None
    digits = text.lower().removeprefix("sm").removeprefix("_").replace(".", "")
    for known in api.compute_capabilities:
        if known.replace(".", "") == digits:
            return known
    raise InputError(
        f"--compute-capability {text}: {api.name} {api.version} builds for "
        f"{', '.join(api.compute_capabilities)}"
    )
