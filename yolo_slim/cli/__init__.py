"""The console script `yolo-slim`, and the doors in tools/: one module a verb."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Read when Albumentations is imported: no look at the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from yolo_slim.errors import YoloSlimError

NO_MEMORY = ("allocate memory", "out of memory", "ALLOC_FAILED")
"""What torch and ONNX Runtime say where memory is short: of the CPU, of a GPU, within a library of
the GPU's."""


def main(argv: list[str] | None = None) -> None:
    """Runs one verb and exits: 0 done, 1 failed, 2 unusable arguments or input."""
    argv = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # The name of a file need not be UTF-8, and is told all the same.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _nothing_is_garbage():
            from yolo_slim.cli.app import app_of  # takes seconds, in which people press Ctrl-C
            from yolo_slim.cli.usage import run

            app = app_of(argv)
        sys.exit(run(app, argv))
    except YoloSlimError as error:
        _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", 1 if error.errno == errno.ENOSPC else 2)
    except Exception as error:
        # Told by its text: the classes are those of libraries that take seconds to import.
        short = isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)
        if not short:
            raise
        _fail("out of memory: take a smaller --size or --batch-size", 1)


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """For imports: what they make stays, and to look through it again and again, at the exit too,
    takes a third of the seconds of a short command."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    if not gc.get_freeze_count():  # what a process made since its first command may be garbage
        gc.freeze()


def tool(verb: str) -> None:
    """What tools/VERB.py calls: the verb with the arguments of the command line."""
    main([verb, *sys.argv[1:]])


def _fail(message: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
