"""Where a step of a compression keeps what it makes, so that a second call finds it done."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, load_bundle
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.report.model import StepRow

ONNX = "model.onnx"
RECIPE, DATA, TABLE = "recipe.toml", "data", "table.csv"
ARMS, ARMS_TABLE = "arms", "arms.csv"
"""What lies in the folder of a run beside the folders of its steps."""

_RESULT, _KEY = "result.json", "recipe-key.txt"


@dataclass(frozen=True)
class Done:
    """A step that is finished: its folder, its row of the table, the bundle that came out."""

    name: str
    folder: Path
    row: StepRow
    bundle: Bundle

    @property
    def kept(self) -> bool:
        """See StepRow."""
        return self.row.kept


def is_run(out: Path) -> bool:
    """Whether `compress` may work in the folder: it is not there, or empty, or its own."""
    if not out.exists():
        return True
    known = {RECIPE, DATA}
    return out.is_dir() and (
        {path.name for path in out.iterdir()} <= known
        or ((out / RECIPE).is_file() and any(out.glob(f"[0-9][0-9]-*/{_KEY}")))
    )


def begin(folder: Path, key: str) -> Done | None:
    """The step as it was finished before under the same `key`, else None and a folder to work in.

    A folder of the same key that was not finished is left as it is: the step goes on in it. One of
    another key is emptied.
    """
    if read_text(folder / _KEY) != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / _KEY).write_text(key)
    row = read_result(folder)
    if row is None:
        return None
    return Done(row.name, folder, row, load_bundle(folder / BUNDLE_IN_RUN))


def finish(folder: Path, row: StepRow, bundle: Bundle) -> Done:
    """From here on the step is done: the bundle is kept, then the row that says so."""
    bundle.save(folder / BUNDLE_IN_RUN)
    with whole_file(folder / _RESULT) as temporary:
        temporary.write_text(json.dumps(asdict(row), indent=1))
    return Done(row.name, folder, row, bundle)


def read_result(folder: Path) -> StepRow | None:
    """The row of a step; None where it is not finished. Raises InputError for one that is none."""
    path = folder / _RESULT
    if not path.is_file():
        return None
    try:
        return StepRow(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is no result of a step ({error})") from None


def read_text(path: Path) -> str:
    """The file's text; nothing where there is no file."""
    return path.read_text() if path.is_file() else ""
