"""After the correction the mean output of each channel is that of the float convolution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from yolo_slim.cfg import Conv, parse
from yolo_slim.quantize.bias_correction import shift_of
from yolo_slim.quantize.weight_scales import rounded


@pytest.mark.parametrize(
    ("filters", "groups", "size", "stride"), [(5, 1, 3, 1), (4, 4, 3, 2), (6, 2, 1, 1)]
)
def test_means_agree_with_padding_and_groups(filters, groups, size, stride):
    cfg = parse(
        f"[net]\nwidth=9\nheight=9\nchannels=4\n[convolutional]\nfilters={filters}\nsize={size}\n"
        f"stride={stride}\npad=1\ngroups={groups}\nactivation=linear\n"
    )
    section = cfg[0]
    assert isinstance(section, Conv)
    draw = torch.Generator().manual_seed(0)
    kernel = torch.randn(filters, 4 // groups, size, size, generator=draw, dtype=torch.float64)
    images = torch.rand(7, 4, 9, 9, generator=draw, dtype=torch.float64)
    coarse = rounded(kernel, torch.full((filters,), 0.3, dtype=torch.float64))

    def mean(k: torch.Tensor) -> torch.Tensor:
        out = F.conv2d(images, k, None, stride, section.padding_px, 1, groups)
        return out.mean(dim=(0, 2, 3))

    shift = shift_of(section, kernel, coarse, images.mean(dim=0))
    assert shift.abs().max() > 1e-3
    torch.testing.assert_close(mean(coarse) - shift, mean(kernel), rtol=0, atol=1e-12)
