"""A session in torch leaves the process as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_slim.runtime.session import TorchSession, torch_threads
from yolo_slim.zoo import build


@pytest.mark.parametrize("tile", [None, 2])
def test_the_number_of_threads_is_for_the_session_alone(tile, random_bundle):
    with torch_threads(3):
        bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
        session = TorchSession(bundle, 2, tile)
        assert torch.get_num_threads() == 3
        inside = []
        session.network.register_forward_pre_hook(lambda *_: inside.append(torch.get_num_threads()))
        session.run(np.zeros((1, 3, 64, 64), np.float32))
        assert (inside, torch.get_num_threads()) == ([2], 3)
