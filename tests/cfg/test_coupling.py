"""Which channels live and die together, by hand-made networks small enough to count."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from yolo_slim.cfg import IMAGE, Conv, couple, infer_shapes, parse, read_cfg
from yolo_slim.cfg.coupling import is_depthwise

NET = "[net]\nwidth=16\nheight=16\nchannels=3\n"


def conv(filters: int, groups: int = 1, size: int = 1, bn: int = 1, act: str = "leaky") -> str:
    return (
        f"[convolutional]\nbatch_normalize={bn}\nfilters={filters}\nsize={size}\npad=1\n"
        f"groups={groups}\nactivation={act}\n"
    )


def shortcut(link: int, act: str = "linear") -> str:
    return f"[shortcut]\nfrom={link}\nactivation={act}\n"


def route(*links: int, groups: int = 1, group_id: int = 0) -> str:
    return f"[route]\nlayers={','.join(map(str, links))}\ngroups={groups}\ngroup_id={group_id}\n"


END = conv(5, bn=0, act="linear")
YOLO = "[yolo]\nmask=0\nanchors=4,4\nclasses=1\n"
HEAD = conv(6, bn=0, act="linear") + YOLO


def coupled(*sections: str):
    return couple(parse(NET + "".join(sections)))


def groups_of(coupling, *links: int) -> set[frozenset[tuple[int, int]]]:
    """Which (section, channel) share a class, among the given sections."""
    members: dict[int, set[tuple[int, int]]] = {}
    for link in links:
        for channel, cls in enumerate(coupling.classes(link).tolist()):
            members.setdefault(cls, set()).add((link, channel))
    return {frozenset(group) for group in members.values()}


def test_channels_of_plain_convolutions_are_free_and_alone():
    coupling = coupled(conv(4), conv(3), END)
    assert groups_of(coupling, 0, 1) == {
        frozenset({(s, c)}) for s, n in ((0, 4), (1, 3)) for c in range(n)
    }
    assert coupling.free[coupling.classes(0)].all()
    assert coupling.free[coupling.classes(1)].all()


def test_the_image_and_the_last_output_are_frozen_with_a_reason():
    coupling = coupled(conv(4), END)
    assert {coupling.frozen[c] for c in coupling.classes(IMAGE).tolist()} == {"the image"}
    reasons = {coupling.frozen[c] for c in coupling.classes(1).tolist()}
    assert reasons == {"output of the network (section 1)"}
    assert coupling.free.sum() == 4


def test_what_a_head_reads_is_frozen_with_a_reason():
    coupling = coupled(conv(4), HEAD)
    assert {coupling.frozen[c] for c in coupling.classes(1).tolist()} == {
        "read by [yolo] (section 2)"
    }
    assert coupling.free.sum() == 4


def test_a_shortcut_ties_channel_to_channel():
    coupling = coupled(conv(3), conv(2), conv(3), shortcut(-3), END)
    assert groups_of(coupling, 0, 2, 3) == {frozenset({(0, c), (2, c), (3, c)}) for c in range(3)}
    assert coupling.free.sum() == 3 + 2


def test_a_chain_of_shortcuts_is_one_class_a_channel():
    coupling = coupled(conv(3), conv(3), shortcut(-2), conv(3), shortcut(-2), conv(3),
                       shortcut(-2), END)  # fmt: skip
    assert len(groups_of(coupling, 0, 1, 3, 5)) == 3


@pytest.mark.parametrize("order", [(4, 3), (3, 4)], ids=["wide first", "narrow first"])
def test_a_shortcut_of_unequal_widths_ties_the_common_prefix(order):
    coupling = coupled(conv(order[0]), conv(order[1]), shortcut(-2), END)
    tied = {frozenset({(0, c), (1, c)}) for c in range(3)}
    rest = {frozenset({(order.index(4), 3)})}
    assert groups_of(coupling, 0, 1) == tied | rest
    assert len(coupling.classes(2)) == order[1]  # the width of the section before


def test_a_route_keeps_the_order_of_its_sources():
    coupling = coupled(conv(2), conv(3), route(-1, -2), END)
    expected = [*coupling.classes(1), *coupling.classes(0)]
    assert coupling.classes(2).tolist() == expected


def test_a_split_ties_its_parts_and_passes_one_on():
    coupling = coupled(conv(6), route(-1, groups=2, group_id=1), END)
    assert groups_of(coupling, 0) == {frozenset({(0, c), (0, c + 3)}) for c in range(3)}
    assert coupling.atoms(1).tolist() == coupling.atoms(0)[3:].tolist()


@pytest.mark.parametrize(
    "section",
    ["[maxpool]\nsize=2\nstride=2\n", "[upsample]\nstride=2\n", "[avgpool]\n", "[dropout]\n"],
)
def test_what_only_moves_values_passes_channels_on(section):
    coupling = coupled(conv(4), section, END)
    assert coupling.atoms(1).tolist() == coupling.atoms(0).tolist()


def test_a_depthwise_convolution_passes_channels_on():
    coupling = coupled(conv(4), conv(4, groups=4, size=3), END)
    assert coupling.atoms(1).tolist() == coupling.atoms(0).tolist()
    assert coupling.free.sum() == 4


def test_a_depthwise_convolution_with_two_filters_a_channel_repeats_them():
    coupling = coupled(conv(3), conv(6, groups=3, size=3), END)
    a = coupling.atoms(0).tolist()
    assert coupling.atoms(1).tolist() == [a[0], a[0], a[1], a[1], a[2], a[2]]


def test_one_group_of_one_channel_is_no_depthwise_convolution():
    assert not is_depthwise(Conv(filters=4, groups=1), 1)
    assert is_depthwise(Conv(filters=4, groups=2), 2)
    assert not is_depthwise(Conv(filters=4, groups=2), 4)


def test_a_grouped_convolution_ties_its_groups_on_both_sides():
    coupling = coupled(conv(4), conv(6, groups=2, size=3), END)
    assert groups_of(coupling, 0) == {frozenset({(0, c), (0, c + 2)}) for c in range(2)}
    assert groups_of(coupling, 1) == {frozenset({(1, c), (1, c + 3)}) for c in range(3)}


def test_a_gate_lives_and_dies_with_what_it_scales():
    coupling = coupled(
        conv(4), "[avgpool]\n", conv(2), conv(4, act="logistic", bn=0),
        "[scale_channels]\nfrom=0\n", END,
    )  # fmt: skip
    assert groups_of(coupling, 0, 3, 4) == {frozenset({(0, c), (3, c), (4, c)}) for c in range(4)}
    assert coupling.free.sum() == 4 + 2


def test_an_addition_under_a_sigmoid_is_frozen_with_a_reason():
    coupling = coupled(conv(3), conv(3), shortcut(-2, act="logistic"), END)
    assert coupling.free.sum() == 0
    reasons = {coupling.frozen[c] for c in coupling.classes(0).tolist()}
    assert reasons == {"logistic after section 2 is not 0 at 0"}


def test_a_tie_to_something_frozen_freezes():
    coupling = coupled(conv(6), conv(6, bn=0, act="linear"), shortcut(-2), YOLO)
    assert coupling.free.sum() == 0


@pytest.mark.parametrize("name", ["yolov3.cfg", "yolov4-tiny.cfg", "csresnext50-panet-spp.cfg",
                                  "enet-coco.cfg", "yolov3-tiny-prn.cfg"])  # fmt: skip
def test_real_cfgs_have_as_many_atoms_as_channels(name, shared_root):
    cfg = read_cfg(shared_root / "cfg" / "AlexeyAB" / name)
    coupling = couple(cfg)
    shapes = infer_shapes(cfg)
    assert [len(atoms) for atoms in coupling.outputs] == [shape.channels for shape in shapes]
    assert sorted(np.unique(coupling.class_of)) == list(range(coupling.n_classes))


@pytest.mark.parametrize(
    ("name", "least"), [("yolov3.cfg", 0.97), ("yolov3-spp.cfg", 0.97), ("yolov4-tiny.cfg", 0.9)]
)
def test_nearly_all_channels_of_a_real_cfg_may_be_decided(name, least, shared_root):
    cfg = read_cfg(shared_root / "cfg" / "AlexeyAB" / name)
    coupling = couple(cfg)
    free = [
        coupling.free[coupling.classes(i)]
        for i, s in enumerate(cfg)
        if isinstance(s, Conv) and s.batch_normalize
    ]
    assert np.concatenate(free).mean() >= least


def test_the_document_floor_imports_no_torch():
    code = "import sys, yolo_slim.cfg, yolo_slim.zoo, yolo_slim.precision\n"
    code += "print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
