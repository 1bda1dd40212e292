"""All checks over a data set. A new one is a function and its line in CHECKS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from yolo_slim.data.check import box_checks, class_checks, picture_checks, twins
from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.picture import look_at
from yolo_slim.data.check.rows import Evidence, RawSplit
from yolo_slim.data.check.statistics import SplitStatistics, statistics
from yolo_slim.findings import severities
from yolo_slim.geometry import ResizeMode

Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    class_checks.differing,
    picture_checks.missing,
    picture_checks.unreadable,
    picture_checks.other_size,
    picture_checks.orientation,
    picture_checks.other_format,
    picture_checks.colour,
    twins.exact,
    twins.near,
    box_checks.flat,
    box_checks.over_border,
    box_checks.tiny,
    box_checks.duplicates,
    class_checks.without_boxes,
    class_checks.imbalance,
    class_checks.empty_images,
)


@dataclass(frozen=True)
class Outcome:
    """What the checks looked at, and what they found."""

    evidence: Evidence
    findings: tuple[Finding, ...]
    statistics: tuple[SplitStatistics, ...]

    @property
    def n_faults(self) -> int:
        return severities(self.findings)["fault"]


def check_splits(
    splits: tuple[RawSplit, ...],
    input_hw: tuple[int, int] = (416, 416),
    resize_mode: ResizeMode = "stretch",
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Reads every picture once, in threads, and asks every check.

    input_hw: height and width of the network's input in pixels. progress: called with (pictures
    done, pictures in all).
    """
    paths = list(dict.fromkeys(image.path for split in splits for image in split.images))
    pictures = {}
    # Decoding and hashing leave Python's lock, so threads do help.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            for done, picture in enumerate(pool.map(look_at, paths), 1):
                pictures[picture.path] = picture
                if progress:
                    progress(done, len(paths))
        except BaseException:  # Ctrl-C does not wait for the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    evidence = Evidence(splits, pictures, input_hw, resize_mode)
    found = [finding for split in splits for finding in split.findings]
    found += [finding for check in CHECKS for finding in check(evidence)]
    return Outcome(evidence, tuple(found), statistics(evidence))
