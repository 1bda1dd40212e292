"""Numbers are written one way everywhere, and every row is compared with the first."""

from __future__ import annotations

import doctest

import pytest
from rich.console import Console

from yolo_slim.report import table
from yolo_slim.report.model import StepRow
from yolo_slim.report.table import duration, human, latex, markdown, points, ratio, step_table

STEPS = [
    StepRow("teacher", "train", 8.67e6, 4.1e9, 34.7e6, 20.0, 0.3112, 0.51, 7200, "torch"),
    StepRow("slim [b]", "prune", 2.1675e6, 0.41e9, 8.7e6, None, 0.2987, -1, None, None),
]


def terminal(steps: list[StepRow]) -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(step_table(steps))
    return capture.get()


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (0, "", "0"),
        (7, "B", "7 B"),
        (1234, "B", "1.23 kB"),
        (352_000, "", "0.35 M"),
        (8_670_000, "", "8.67 M"),
        (9_997_000, "", "10.0 M"),
        (61_900_000, "", "61.9 M"),
        (410_000_000, "", "0.41 G"),
        (34_700_000, "B", "34.7 MB"),
        (247_600_000, "B", "248 MB"),
        (65.9e9, "", "65.9 G"),
    ],
)
def test_a_count_has_two_or_three_figures_and_a_prefix(n: float, unit: str, text: str) -> None:
    assert human(n, unit) == text


def test_comparisons_say_how_many_times_and_how_many_points() -> None:
    assert [ratio(value, 4.0) for value in (1, 4, 0.16, 400)] == ["×0.25", "×1", "×0.04", "×100"]
    assert ratio(1, 0) is None
    changes = [points(value, 0.5) for value in (0.4987, 0.5, 0.52, 0.49999999)]
    assert changes == ["−0.13", "±0.00", "+2.00", "±0.00"]
    assert [duration(s) for s in (59.96, 3599.6)] == ["1 min 00 s", "1 h 00 min"]


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(table)
    assert result.attempted >= 3
    assert result.failed == 0


def test_the_terminal_table_compares_with_the_first_row() -> None:
    shown = terminal(STEPS)
    for text in ("2.17 M (×0.25)", "0.41 G (×0.1)", "8.70 MB (×0.25)", "29.87 (−1.25)"):
        assert text in shown
    assert "slim [b]" in shown, "a name is text, not markup"
    assert "(×1)" not in shown, "the first row is not compared with itself"


def test_what_was_not_measured_is_a_dash_and_an_empty_column_is_left_out() -> None:
    assert "Latency" in terminal(STEPS)
    assert "Latency" not in terminal(STEPS[1:])
    assert "AP50" not in terminal(STEPS[1:]), "-1 is COCO's word for undefined"
    assert "–" in terminal(STEPS)
    assert "Step" in terminal([])


def test_the_tables_to_copy_have_a_cell_for_each_column() -> None:
    head, rule, *rows = markdown([*STEPS, StepRow("a|b")]).splitlines()
    assert [line.replace("\\|", "").count("|") for line in (rule, *rows)] == [head.count("|")] * 4
    lines = latex([*STEPS, StepRow("50%_of & more")]).splitlines()
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 4
    assert {line.replace(r"\&", "").count("&") for line in body} == {6}
    assert r"50\%\_of \& more" in lines[-3]
    assert r"2.17 M ($\times$0.25)" in lines[-4]
