"""A residual block is found in the links alone, and leaves a network in which all links hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from cfg_pieces import CONV, HEAD, NET, YOLO
from detectors import READ_STEMS
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.cfg import (
    Cfg,
    Conv,
    Route,
    Shortcut,
    drop_blocks,
    measure,
    parse,
    read_cfg,
    render,
    residual_blocks,
    totals,
    verify,
)
from yolo_slim.cfg.links import reads
from yolo_slim.errors import CfgError
from yolo_slim.zoo import build, names

SHARED = Path(__file__).resolve().parents[3] / "shared"
ADD = "[shortcut]\nfrom={}\nactivation=linear\n"
ROUTE = "[route]\nlayers={}\n"
END = HEAD + YOLO

FAMILIES = {
    "yolov3": 23, "yolov3-nano": 6, "yolov3-mobilenetv2": 10, "yolov3-mobilenetv3-large": 10,
    "yolov3-resnet18": 5, "yolov3-resnet50": 12, "seresnet50": 12, "resnet20": 7,
    "preresnet20": 7, "preresnet164": 51, "ghostnet": 11, "efficientnet-b0": 9, "tinynet-a": 12,
    "shufflenetv1-g3": 13, "mnasnet-1.0": 10, "yolov3-tiny": 0, "shufflenetv2-1.0": 0,
}  # fmt: skip
"""Counted from the papers' tables: the blocks that keep their shape. The first block of a stage
projects its input, or adds a map of another shape."""


def network(*sections: str) -> Cfg:
    return parse(NET + "".join(sections))


def found(cfg: Cfg) -> list[tuple[int, tuple[int, ...], int]]:
    return [(block.source, block.branch, block.shortcut) for block in residual_blocks(cfg)]


def assert_sound(cfg: Cfg, blocks) -> None:
    """Every kept section stands in the result as it was, and what it reads is what it read, or
    the source of a shortcut that went."""
    result, moved = drop_blocks(cfg, blocks)
    verify(result)
    assert parse(render(result)) == result
    assert set(moved) == set(range(len(cfg)))
    instead = {block.shortcut: block.source for block in blocks}
    gone = {index for index, place in moved.items() if place is None}
    assert gone >= {index for block in blocks for index in block.sections}
    added = set(range(len(result))) - set(moved.values())
    for index, place in moved.items():
        if place is None:
            continue
        assert type(result[place]) is type(cfg[index])
        for before, after in zip(reads(cfg, index), reads(result, place), strict=True):
            while before in instead:
                before = instead[before]
            while after in added:
                (after,) = result.links(after)
            assert after == (moved[before] if before >= 0 else before)
    for index in gone - {index for block in blocks for index in block.sections}:
        assert isinstance(cfg[index], Route)  # a name that nobody asks for any more
    costs = [cost for cost in measure(cfg) if cost.index in gone]
    for quantity in ("parameters", "macs", "weights_file_floats"):
        fall = getattr(totals(cfg), quantity) - getattr(totals(result), quantity)
        assert fall == sum(getattr(cost, quantity) for cost in costs)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_the_blocks_of_its_paper(name):
    cfg = build(name)
    blocks = residual_blocks(cfg)
    assert len(blocks) == FAMILIES[name]
    for block in blocks:
        assert isinstance(cfg[block.shortcut], Shortcut)
        assert block.branch == tuple(range(block.branch[0], block.shortcut))
    assert_sound(cfg, blocks)
    assert_sound(cfg, blocks[::2])
    assert not residual_blocks(drop_blocks(cfg, blocks)[0])


def test_every_member_of_the_zoo_loses_any_of_its_blocks():
    for name in names():
        if not name.startswith(("yolov3-", "efficientnet-b")) or name == "yolov3-spp":
            blocks = residual_blocks(build(name))
            assert_sound(build(name), blocks[1::3])


@pytest.mark.parametrize("stem", READ_STEMS)
def test_blocks_of_public_cfgs_are_disjoint_or_nested_and_can_go(stem, shared_root):
    cfg = read_cfg(shared_root / f"cfg/{stem}.cfg")
    blocks = residual_blocks(cfg)
    for one in blocks:
        for other in blocks:
            shared = set(one.sections) & set(other.sections)
            smaller = min((one, other), key=lambda block: len(block.branch))
            assert shared in (set(), set(smaller.sections))
    assert_sound(cfg, blocks)
    assert_sound(cfg, blocks[::2])


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_shortcuts_that_learn_widen_or_shrink_are_no_blocks(name):
    expected = [(0, (1,), 2)] if name == "classifier" else []
    assert found(SMALL_NETWORKS[name]()) == expected


def test_without_a_block_its_readers_read_its_source():
    cfg = network(CONV, CONV, CONV, ADD.format(-3), CONV, ROUTE.format("3,-1"), END)
    assert found(cfg) == [(0, (1, 2), 3)]
    result, moved = drop_blocks(cfg, residual_blocks(cfg))
    assert result == network(CONV, CONV, ROUTE.format("0,-1"), END)
    assert moved == {0: 0, 1: None, 2: None, 3: None, 4: 1, 5: 2, 6: 3, 7: 4}


def test_the_identity_may_be_the_section_before_or_the_one_that_is_named():
    branch_last = network(CONV, CONV, ADD.format(-2), END)
    renamed = network(CONV, CONV, ROUTE.format(0), ADD.format(-2), END)
    assert found(branch_last) == [(0, (1,), 2)]
    assert found(renamed) == [(0, (1,), 3)]
    for cfg in (branch_last, renamed):  # the name of the source has no reader left, and goes
        assert drop_blocks(cfg, residual_blocks(cfg))[0] == network(CONV, END)


def test_a_name_that_two_blocks_read_goes_with_the_second():
    cfg = network(
        CONV, ROUTE.format(0), CONV, ADD.format(0), CONV, ADD.format(3), ROUTE.format(1), CONV,
        ROUTE.format("5,-1"), END,
    )  # fmt: skip
    # Section 1 renames 0 for the branch at 2, and for 6, which stays.
    first, second = residual_blocks(cfg)
    assert (first.source, first.branch, second.source) == (0, (2,), 3)
    assert drop_blocks(cfg, [first, second])[1][1] is not None
    alone = network(CONV, ROUTE.format(0), CONV, ADD.format(0), END)
    assert drop_blocks(alone, residual_blocks(alone))[0] == network(CONV, END)


def test_a_reader_behind_sections_that_stay_gets_a_route():
    # 3 stands between source and shortcut and stays: 6 then comes after 3, and is to read 0.
    cfg = network(
        CONV, CONV, ROUTE.format(0), CONV, ROUTE.format(1), ADD.format(0), CONV,
        ROUTE.format("3,-1"), END,
    )  # fmt: skip
    assert found(cfg) == [(0, (1, 4), 5)]
    result, moved = drop_blocks(cfg, residual_blocks(cfg))
    expected = network(
        CONV, ROUTE.format(0), CONV, ROUTE.format(0), CONV, ROUTE.format("2,-1"), END
    )
    assert result == expected
    assert moved[5] is None and moved[6] == 4


def test_a_kernel_that_others_use_keeps_its_block():
    user = CONV + "share_index=1\n"
    outside = network(CONV, CONV, ADD.format(-2), user, END)
    assert found(outside) == []
    inside = network(CONV, CONV, user, ADD.format(-3), END)
    assert found(inside) == [(0, (1, 2), 3)]
    other_way = network(CONV, CONV, CONV, ADD.format(-2), CONV, CONV + "share_index=1\n",
                        ADD.format(3), CONV + "share_index=1\n", END)  # fmt: skip
    assert found(other_way) == [(1, (2,), 3), (3, (4, 5), 6)]
    assert_sound(other_way, residual_blocks(other_way)[:1])


def test_a_branch_that_a_route_or_a_head_reads_stays():
    read = network(CONV, CONV, CONV, ADD.format(-3), ROUTE.format("-1,1"), END)
    assert found(read) == []
    named = network(CONV, CONV, CONV, ADD.format(-3), ROUTE.format(1), CONV, ADD.format(3), END)
    assert found(named) == []
    head = network(CONV, HEAD, YOLO, ROUTE.format(0), CONV, ADD.format(0), END)
    assert found(head) == [(0, (4,), 5)]
    headed = network(CONV, HEAD, HEAD, ADD.format(-2), YOLO, ROUTE.format(2), YOLO)
    assert found(headed) == []


def test_an_output_of_the_network_is_no_block():
    assert found(network(CONV, CONV, ADD.format(-2))) == []
    assert found(network(CONV, CONV, ADD.format(-2), CONV)) == [(0, (1,), 2)]
    named = network(CONV, CONV, ADD.format(-2), ROUTE.format(-1))
    assert found(named) == [(0, (1,), 2)]  # the name is the output, and names the source then
    assert_sound(named, residual_blocks(named))
    assert found(network(CONV, CONV, CONV, ADD.format(-3), ROUTE.format(1))) == []


def test_a_branch_that_reads_further_back_is_none():
    assert found(network(CONV, CONV, ROUTE.format("0,1"), CONV, ADD.format(1), END)) == []


def test_a_block_within_a_branch_is_a_block_and_goes_with_the_outer_one():
    cfg = network(CONV, CONV, CONV, ADD.format(1), CONV, ADD.format(0), CONV, END)
    inner, outer = residual_blocks(cfg)
    assert (inner.source, inner.branch) == (1, (2,))
    assert (outer.source, outer.branch) == (0, (1, 2, 3, 4))
    assert outer.holds(inner) and not inner.holds(outer)
    assert drop_blocks(cfg, [inner])[0] == network(CONV, CONV, CONV, ADD.format(0), CONV, END)
    expected = network(CONV, CONV, END)
    assert drop_blocks(cfg, [outer])[0] == drop_blocks(cfg, [inner, outer])[0] == expected
    assert_sound(cfg, [inner, outer])


def test_blocks_that_share_a_branch_s_map_are_none_but_the_one_around_both():
    # 1 is added at 2 and again at 3: leaving out either alone would change the other.
    cfg = network(CONV, CONV, ADD.format(0), ADD.format(1), END)
    assert found(cfg) == []
    around = network(CONV, CONV, ADD.format(0), ADD.format(1), ADD.format(0), END)
    assert found(around) == [(0, (1, 2, 3), 4)]


def test_dropping_twice_is_dropping_both():
    cfg = build("yolov3-nano")
    first, _, third, *_ = residual_blocks(cfg)
    both, moved_both = drop_blocks(cfg, [third, first])
    once, moved = drop_blocks(cfg, [first])
    again = next(b for b in residual_blocks(once) if b.shortcut == moved[third.shortcut])
    twice, moved_again = drop_blocks(once, [again])
    assert twice == both
    composed = {i: None if m is None else moved_again[m] for i, m in moved.items()}
    assert composed == moved_both


def test_no_block_changes_nothing_and_a_stranger_is_refused():
    cfg, other = build("yolov3-nano"), build("yolov3")
    assert drop_blocks(cfg, []) == (cfg, {i: i for i in range(len(cfg))})
    with pytest.raises(CfgError, match=r"yolov3-nano: sections .* no residual block of it"):
        drop_blocks(cfg, residual_blocks(other)[4:5])


def test_all_convolutions_left_have_the_width_they_had():
    cfg = build("yolov3-ghostnet")
    result, moved = drop_blocks(cfg, residual_blocks(cfg)[2:7])
    for index, place in moved.items():
        if place is not None and isinstance(cfg[index], Conv):
            assert result[place] == cfg[index]
