"""What a command writes: looked at before the work, so that nothing is lost and nothing in vain."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from yolo_slim.bundle import FILES as BUNDLE_FILES
from yolo_slim.bundle import Bundle, is_bundle, require_replaceable
from yolo_slim.cfg import read_cfg, render
from yolo_slim.cli.json_target import require_json_target
from yolo_slim.cli.options import console
from yolo_slim.errors import CfgError, InputError
from yolo_slim.files import require_writable
from yolo_slim.report.sections import TITLES
from yolo_slim.report.shell import is_page

TABLE_HEAD = f"| {TITLES[0]} |".encode()


def check_file(
    target: Path | None, sources: Iterable[Path | None], only_json: bool = False
) -> None:
    """Raises InputError where `target` is a source of the command, a folder or a file of a bundle,
    OSError where it cannot be written. No target is fine.

    only_json: what is there already may be replaced only as json_target.py says.
    """
    if target is None:
        return
    if target.is_dir():
        raise InputError(f"{target} is a folder; expected the name of a file to write")
    require_kept([target], sources)
    if target.name in BUNDLE_FILES and is_bundle(target.parent):
        raise InputError(
            f"{target} is part of the bundle {target.parent} and is kept: choose another place"
        )
    require_writable(target)
    if only_json:
        require_json_target(target)


def check_page(target: Path) -> None:
    """The same for a page, which may take the place of a page, or of an empty file."""
    check_file(target, [])
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target} is no name of a page: expected one that ends in .html")
    if target.is_file() and not is_page(target):
        raise InputError(
            f"{target} exists and is no page of yolo_slim: nothing was written; choose another "
            "--out"
        )


def check_table(target: Path | None, sources: Iterable[Path | None]) -> None:
    """The same for a table in Markdown, which may take the place of one, or of an empty file."""
    check_file(target, sources)
    if target is None or not target.is_file():
        return
    if not (content := target.read_bytes()).strip() or content.startswith(TABLE_HEAD):
        return
    raise InputError(
        f"{target} exists and is no table of profile: nothing was written; choose another "
        "--markdown"
    )


def check_cfg(target: Path | None, sources: Iterable[Path | None]) -> None:
    """The same for a cfg, which may take the place of one that yolo_slim wrote, of an empty file,
    and of nothing else: what somebody typed is kept, comments and all."""
    check_file(target, sources)
    if target is not None and target.is_file() and not _is_canonical(target):
        raise InputError(
            f"{target} exists and is no cfg as yolo_slim writes it: nothing was written; choose "
            "another place"
        )


def _is_canonical(path: Path) -> bool:
    content = path.read_bytes()
    try:
        return not content.strip() or render(read_cfg(path)).encode() == content
    except CfgError:
        return False


def check_pair(cfg: Path, weights: Path, sources: Iterable[Path | None]) -> None:
    """The same for a Darknet pair; weights without their cfg are kept."""
    sources = list(sources)
    check_cfg(cfg, sources)
    check_file(weights, sources)
    if weights.exists() and not cfg.exists():
        raise InputError(
            f"{weights} exists without {cfg.name}: nothing was written; choose another place"
        )


def check_bundle(target: Path, sources: Iterable[Path | None]) -> None:
    """The same for a bundle folder, which may take the place of a bundle, and of nothing else."""
    require_kept([target], sources)
    require_replaceable(target)
    require_writable(target)


def require_kept(targets: Iterable[Path], sources: Iterable[Path | None]) -> None:
    """Raises InputError where a target is a source, or a folder that a source lies in; links are
    followed."""
    places = {target.resolve(): target for target in targets}
    for source in sources:
        if source is None:
            continue
        real = source.resolve()
        for place in (real, *real.parents):
            if place in places:
                raise InputError(
                    f"{places[place]} would replace {source}, which this command reads: nothing "
                    "was written; choose another place"
                )


def require_apart(target: Path | None, folders: Iterable[Path | None]) -> None:
    """Raises InputError where a target lies in a folder that is searched: it would be found there
    the next time. No target is fine."""
    for folder in folders:
        if target is None or folder is None or not folder.is_dir():
            continue
        if folder.resolve() in target.resolve().parents:
            raise InputError(f"{target} lies in {folder}, which this command reads: go beside it")


def save_bundle(bundle: Bundle, target: Path) -> None:
    """Writes a bundle, and says so where it took the place of another one."""
    replaced = is_bundle(target)
    bundle.save(target)
    if replaced:
        console.print(f"{target}: replaced the bundle that was there")
