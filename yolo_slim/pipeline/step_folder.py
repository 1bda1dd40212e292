"""Where a step of a compression keeps what it makes, so that a second call finds it done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, load_bundle
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.in_use import LOCK
from yolo_slim.report.model import StepRow

ONNX = "model.onnx"
RECIPE, DATA, TABLE = "recipe.toml", "data", "table.csv"
ARMS, ARMS_TABLE = "arms", "arms.csv"
"""What lies in the folder of a run beside the folders of its steps."""

_RESULT, KEY = "result.json", "recipe-key.txt"
_CIRCUMSTANCES = "circumstances"


@dataclass(frozen=True)
class Done:
    """A step that is finished: its folder, its row of the table, the bundle that came out, and
    where and when its numbers were measured."""

    name: str
    folder: Path
    row: StepRow
    bundle: Bundle
    circumstances: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """See StepRow."""
        return self.row.kept


def is_run(out: Path) -> bool:
    """Whether `compress` may work in the folder: it is not there, or empty, or its own."""
    if not out.exists():
        return True
    known = {RECIPE, DATA, LOCK}
    return out.is_dir() and (
        {path.name for path in out.iterdir()} <= known
        or ((out / RECIPE).is_file() and any(out.glob(f"[0-9][0-9]-*/{KEY}")))
    )


def begin(folder: Path, key: str) -> Done | None:
    """The step as it was finished before under the same `key`, else None and a folder to work in.

    A folder of the same key that was not finished is left as it is: the step goes on in it. One of
    another key is emptied.
    """
    if read_text(folder / KEY) != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / KEY).write_text(key, encoding="utf-8")
    found = read_result(folder)
    if found is None:
        return None
    row, circumstances = found
    return Done(row.name, folder, row, load_bundle(folder / BUNDLE_IN_RUN), circumstances)


def finish(folder: Path, row: StepRow, bundle: Bundle, circumstances: Mapping[str, str]) -> Done:
    """From here on the step is done: the bundle is kept, then the row that says so."""
    bundle.save(folder / BUNDLE_IN_RUN)
    with whole_file(folder / _RESULT) as temporary:
        told = asdict(row) | {_CIRCUMSTANCES: dict(circumstances)}
        temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return Done(row.name, folder, row, bundle, circumstances)


def read_result(folder: Path) -> tuple[StepRow, dict[str, str]] | None:
    """The row of a step and the circumstances of its numbers; None where it is not finished.

    Raises InputError for a result that is none.
    """
    path = folder / _RESULT
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        circumstances = dict(told.pop(_CIRCUMSTANCES, {}))
        return StepRow(**told), circumstances
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no result of a step ({error})") from None


def read_text(path: Path) -> str:
    """The file's text; nothing where there is no file."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
