"""Artefacts are written to a temporary name beside their place and renamed: whole, or not there."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to; it becomes `path` when the block ends without an error.

    A link stays one: what it points to is replaced. A device or a pipe is written into.

    >>> with whole_file(Path("table.csv")) as temporary:       # doctest: +SKIP
    ...     temporary.write_text("a,b", encoding="utf-8")
    """
    require_writable(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            yield (elsewhere := Path(folder) / (path.name + path.suffix))
            path.write_bytes(elsewhere.read_bytes())
        return
    if path.is_symlink():
        path = path.resolve()
    made = _make_folder(path.parent)
    # The suffix is kept last: some writers choose a format by it. The longest names that there can
    # be would leave no room for more letters: the first ones do.
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem[:40]}.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        _make_readable(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _remove_empty(made)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows as CSV, whole or not at all; the columns are all keys, in the order of the rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder; it becomes `path`, replacing an older one, if all goes well.

    An empty folder is filled, not replaced: it may be where the person stands, or a mount.
    """
    require_writable(path)
    path = Path(os.path.abspath(path))  # noqa: PTH100 - `.` has no name to go beside
    made = _make_folder(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        for made_inside in (temporary, *temporary.rglob("*")):
            # What a link points to is somebody else's.
            if not made_inside.is_symlink():
                _make_readable(made_inside)
        if not path.exists():
            temporary.rename(path)
        elif path.is_dir() and not any(path.iterdir()):
            for child in temporary.iterdir():
                shutil.move(child, path)
        else:
            _replace(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(made)


def _replace(path: Path, by: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        path.rename(old / path.name)
    except OSError:
        old.rmdir()
        raise
    by.rename(path)
    shutil.rmtree(old)


def require_writable(path: Path) -> None:
    """Raises OSError, naming `path`, where no file or folder can be made of that name.

    Asked before long work, and before a temporary name is made that no one has typed.
    """
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    fault = 0
    if not nearest.is_dir():
        fault = errno.ENOTDIR
    elif not os.access(nearest, os.W_OK | os.X_OK):
        fault = errno.EACCES
    if fault:
        raise OSError(fault, os.strerror(fault), str(path))


def room(folder: Path) -> int:
    """Bytes that are free where `folder` is, or would be made."""
    nearest = next(f for f in (folder.absolute(), *folder.absolute().parents) if f.exists())
    return shutil.disk_usage(nearest).free


def told_bytes(n_bytes: int) -> str:
    """
    >>> told_bytes(45_300_000), told_bytes(-1), told_bytes(12_345_000_000)
    ('45.3 MB', '0.0 MB', '12.3 GB')
    """
    n_bytes = max(n_bytes, 0)
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _make_readable(path: Path) -> None:
    """The mode that the umask gives, whatever the writer has chosen: some make files private."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())


def _make_folder(folder: Path) -> list[Path]:
    """Makes the folder and returns what had to be made for it, the innermost first."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """After a failure no empty folder is left of what was made; one in use stays."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
