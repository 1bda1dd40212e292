from collections.abc import Iterator
from functools import partial

import pytest

from yolo_slim.pipeline import compress


@pytest.fixture(scope="session", autouse=True)
def short_timings() -> Iterator[None]:
    """Recipes time their networks in a moment: how fast these are matters to no test."""
    with pytest.MonkeyPatch.context() as patch:
        quick = partial(compress.measure_latency, rounds=1, seconds_per_round=0.01)
        patch.setattr(compress, "measure_latency", quick)
        yield
