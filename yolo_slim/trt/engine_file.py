"""An engine on disk: the plan as TensorRT wrote it, and a JSON file beside it that says what it is.

`slim.engine` is the plan alone, so that every program with TensorRT can read it;
`slim.engine.json` has its checksum, the cfg, the class names, and what it was built with. The
checksum finds damage and mixed up files. It is no proof of where an engine comes from: whoever can
change the one can change the other. A plan is a program for the GPU: run those that you trust.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.trt.api import Flavor

ENGINE_SUFFIX = ".engine"
_FORMAT = "yolo_slim engine 1"
_MOST_RECORD_BYTES = 32 << 20


@dataclass(frozen=True)
class EngineRecord:
    """What stands beside a plan.

    sha256, plan_bytes: of the plan. precision: 'fp32', 'fp16', 'int8', or 'int8+fp16' where what is
    not INT8 is FP16. flavor, version: of TensorRT. compute_capability: as '8.6', or 'portable'.
    batch: least, usual, greatest number of images at a time. outputs: the tensors that `run` gives,
    in order. metadata: what also travels in an ONNX file.
    """

    sha256: str
    plan_bytes: int
    precision: str
    flavor: Flavor
    version: str
    compute_capability: str
    batch: tuple[int, int, int]
    outputs: tuple[str, ...]
    metadata: dict[str, str]
    version_compatible: bool = False
    hardware_compatible: bool = False
    format: str = _FORMAT


_ADAPTER = TypeAdapter(EngineRecord)


def record_path(path: Path) -> Path:
    """slim.engine.json of slim.engine."""
    return path.with_name(path.name + ".json")


def sha256_of(plan: bytes) -> str:
    return hashlib.sha256(plan).hexdigest()


def write_engine(path: Path, plan: bytes, record: EngineRecord) -> None:
    """Writes both files, each whole or not at all."""
    with whole_file(path) as engine, whole_file(record_path(path)) as beside:
        engine.write_bytes(plan)
        beside.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")


def read_record(path: Path) -> EngineRecord:
    """What the file beside an engine says. Raises InputError where there is none, or not ours."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    beside = record_path(path)
    if not beside.is_file():
        raise InputError(
            f"{path}: {beside.name} is not beside it. export_trt writes both; the second says what "
            "the engine was built with and how its maps are read"
        )
    record = _parsed(beside)
    if record is None:
        raise InputError(f"{beside}: not what export_trt writes beside an engine; export it again")
    return record


def read_plan(path: Path, record: EngineRecord) -> bytes:
    """The plan. Raises InputError where it is not the one that `record` is of."""
    size = path.stat().st_size
    plan = path.read_bytes() if size == record.plan_bytes else b""
    if sha256_of(plan) != record.sha256:
        raise InputError(
            f"{path} is not the engine that {record_path(path).name} describes ({size} bytes, "
            f"expected {record.plan_bytes} with sha256 {record.sha256[:12]}...): copy both again"
        )
    return plan


def require_own_record(path: Path) -> None:
    """Raises InputError where something else would be replaced by the file beside an engine."""
    beside = record_path(path)
    if beside.exists() and (not beside.is_file() or _parsed(beside) is None):
        raise InputError(
            f"{beside} exists and does not describe an engine: nothing was written; choose another "
            "--out"
        )


def _parsed(path: Path) -> EngineRecord | None:
    if path.stat().st_size > _MOST_RECORD_BYTES:
        return None
    try:
        record = _ADAPTER.validate_json(path.read_bytes())
    except ValidationError:
        return None
    least, usual, greatest = record.batch
    fits = record.format == _FORMAT and 1 <= least <= usual <= greatest and record.outputs
    return record if fits else None
