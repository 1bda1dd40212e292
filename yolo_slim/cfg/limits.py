"""How much a document may ask for: what is edited can be read again, and no file asks for more than
a machine has."""

from __future__ import annotations

from yolo_slim.errors import InputError

MAX_SECTIONS = 5000
"""After [net]."""

MAX_KEYS = 500
MAX_LINKS = 64
MAX_NUMBERS = 4096
"""In one list, except the channels of a [select], which are as many as filters may be."""

MAX_SIDE_PX = 16384
MAX_IMAGE_CHANNELS = 1024
MAX_FILTERS = 65536
MAX_OUTPUTS = 1 << 24
"""Of a [connected]."""

MAX_CLASSES = 65536
MAX_WEIGHTS = 1_000_000_000
MAX_MAP_VALUES = 1 << 30


def require_class_count(n_classes: int) -> None:
    """Raises InputError unless a network can have that many classes."""
    if not 1 <= n_classes <= MAX_CLASSES:
        raise InputError(f"{n_classes} classes: expected 1 to {MAX_CLASSES:,}")
