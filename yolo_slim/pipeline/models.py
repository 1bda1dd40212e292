"""What a person names - a folder, a cfg, a zoo name, a file - as a bundle or a session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from yolo_slim.bundle import CFG, WEIGHTS, Bundle, bundle_folder, is_bundle, load_bundle, read_names
from yolo_slim.cfg import Cfg, read_cfg, resize
from yolo_slim.cfg.scale import coarsest_stride
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.errors import CfgError, InputError
from yolo_slim.nn.winograd.network import TileChoice
from yolo_slim.pipeline.runtimes import FILES, Opener, OpenFile, find_runtime, openers_of
from yolo_slim.runtime.session import Session, TorchSession, default_threads
from yolo_slim.trt.engine_file import ENGINE_SUFFIX, record_path
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build, names, near_names


@dataclass(frozen=True)
class ModelSource:
    """What was typed: MODEL, and what --weights, --names, --size say about it."""

    model: str
    weights: Path | None = None
    names: Path | None = None
    size_px: int | None = None

    @property
    def path(self) -> Path:
        return Path(self.model)

    @property
    def files(self) -> list[Path]:
        """What is read of it: no command may write over these."""
        folder = bundle_folder(self.path)
        model = sorted(folder.iterdir()) if folder.is_dir() else [self.path]
        if self.path.suffix == ".xml":
            model.append(self.path.with_suffix(".bin"))
        if self.path.suffix == ENGINE_SUFFIX:
            model.append(record_path(self.path))
        return [*model, *(path for path in (self.weights, self.names) if path is not None)]

    @property
    def file_bytes(self) -> int | None:
        """Bytes of the numbers: of a bundle's or a cfg's weights, or of what was exported; None
        where they are on no disk."""
        files = self.files
        if not self.is_engine_file:
            files = [self.weights or bundle_folder(self.path) / WEIGHTS]
        return sum(file.stat().st_size for file in files if file.is_file()) or None

    @property
    def is_engine_file(self) -> bool:
        """Whether it is no bundle, but what was exported from one."""
        return self.path.suffix in FILES


def load_model(source: ModelSource, untrained: bool = False, classes: int | None = None) -> Bundle:
    """The bundle that `source` names: a bundle folder, the folder of a run, a cfg, a zoo name.

    untrained: a cfg without weights, or a zoo name (for `classes` classes, if given), starts at
    random weights; otherwise it is an InputError.
    """
    bundle = _load(source, untrained, classes)
    if source.names is not None:
        if not source.names.is_file():
            raise InputError(f"{source.names}: no such file; expected class names, one a line")
        class_names = read_names(source.names)
        if not class_names:
            raise InputError(f"{source.names}: no class names found, expected one a line")
        bundle = replace(bundle, class_names=class_names)
    if source.size_px is not None:
        bundle = replace(bundle, cfg=_resized(bundle.cfg, source.size_px))
    return bundle


def _resized(cfg: Cfg, size_px: int) -> Cfg:
    try:
        return resize(cfg, size_px, size_px)
    except CfgError as error:
        stride = coarsest_stride(cfg)
        if size_px % stride == 0:
            raise
        raise InputError(
            f"--size {size_px} does not fit {cfg.source}: its maps meet at multiples of {stride} "
            f"px ({error})"
        ) from None


def load_cfg(model: str, size_px: int | None = None, classes: int | None = None) -> Cfg:
    """The cfg of what `load_model` reads, without its numbers.

    size_px: of the input, else the cfg's. classes: of a zoo's network, else COCO's 80.
    """
    cfg = _cfg_of(model, classes)
    return cfg if size_px is None else _resized(cfg, size_px)


def _cfg_of(model: str, classes: int | None) -> Cfg:
    path = Path(model)
    folder = bundle_folder(path)
    if is_bundle(folder):
        return read_cfg(folder / CFG)
    if path.suffix == ".cfg":
        return read_cfg(path)
    if model in names():
        return build(model, classes)
    return load_model(ModelSource(model)).cfg  # says what is wrong


def runtime_for(source: ModelSource, wanted: str | None = None, of_bundle: str = "torch") -> str:
    """The engine that runs the model: the one that is wanted, or for None the usual one, which for
    a bundle is `of_bundle`.

    Raises InputError for an engine that there is none of, or that does not open such a file.
    """
    if wanted is not None:
        find_runtime(wanted)
    if not source.is_engine_file:
        return wanted or of_bundle
    suffix = source.path.suffix
    able = openers_of(suffix)
    if wanted not in (None, *able):
        raise InputError(
            f"{source.model} is {FILES[suffix]}: it runs in {', '.join(able)}, not {wanted}"
        )
    return wanted or able[0]


def session_opener(
    source: ModelSource,
    folder: Path,
    runtime: str | None = None,
    threads: int | None = None,
    untrained: bool = False,
    tile: TileChoice | None = None,
) -> Opener:
    """A function that opens a session over the model, as often as it is called.

    folder: where files are written that an engine needs of a bundle.
    runtime: see runtime_for.
    untrained: random weights will do (for timing). tile: of sections that run by Winograd's
    algorithms, in torch alone.
    """
    name = runtime_for(source, runtime)
    engine = find_runtime(name)
    if tile is not None and name != "torch":
        raise InputError(
            f"--winograd is for --runtime torch: how {name} convolves is its own choice"
        )
    threads = threads or default_threads()
    if tile is not None:
        return partial(TorchSession, load_model(source, untrained), threads, tile)
    if not source.is_engine_file:
        return engine.of_bundle(load_model(source, untrained), folder, threads)
    if not source.path.is_file():
        raise InputError(f"{source.model}: no such file")
    for option, what in (("weights", source.weights), ("names", source.names)):
        if what is not None:
            raise InputError(
                f"{source.model} carries its {option}: --{option} makes no sense with it; give it "
                "to the export"
            )
    return partial(_open_file, source, engine.of_file[source.path.suffix], threads)


@contextmanager
def open_session(
    source: ModelSource,
    runtime: str | None = None,
    threads: int | None = None,
    tile: TileChoice | None = None,
) -> Iterator[Session]:
    """One session over the model; see session_opener."""
    with tempfile.TemporaryDirectory() as folder:
        yield session_opener(source, Path(folder), runtime, threads, tile=tile)()


def _open_file(source: ModelSource, open_file: OpenFile, threads: int) -> Session:
    session = open_file(source.path, threads)
    if source.size_px is not None and session.cfg.input_hw != (source.size_px, source.size_px):
        raise InputError(
            f"{source.model} is made for {session.cfg.net.width}x{session.cfg.net.height} px: "
            "export it again for another --size"
        )
    return session


def _load(source: ModelSource, untrained: bool, classes: int | None) -> Bundle:
    path = source.path
    if source.is_engine_file:
        kind = FILES[path.suffix]
        raise InputError(f"{source.model} is {kind}; this needs a bundle folder or a cfg")
    if path.is_dir():
        if source.weights is not None:
            raise InputError(f"{path} is a folder with weights of its own: leave out --weights")
        return load_bundle(bundle_folder(path))
    if path.suffix == ".cfg":
        cfg = read_cfg(path)
        return _with_weights(cfg, source, untrained)
    if source.model in names():
        return _with_weights(build(source.model, classes), source, untrained)
    exported = " or ".join(FILES)
    if path.exists():
        raise InputError(f"{path}: expected a bundle folder, a .cfg, {exported}")
    raise InputError(
        f"{source.model!r} is no bundle folder, .cfg, {exported} that exists, and no name of the "
        f"zoo{near_names(source.model)} `yolo-slim zoo` lists them"
    )


def _with_weights(cfg: Cfg, source: ModelSource, untrained: bool) -> Bundle:
    if source.weights is not None:
        weights, _ = read_darknet_weights(source.weights, cfg)
        return Bundle(cfg, weights)
    if untrained:
        return Bundle(cfg, random_weights(cfg))
    raise InputError(
        f"{source.model} has no trained weights: name a bundle, or beside MODEL --weights FILE"
    )
