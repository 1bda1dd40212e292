"""Memory for what a TensorRT context writes, also where its size is known only afterwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def allocator_of(trt: Any, device: str) -> Any:
    """TensorRT's allocator of one output; after the run `values()` is what was written."""

    class OutputRoom(trt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.room: Tensor = torch.empty(0, dtype=torch.uint8, device=device)
            self.shape: tuple[int, ...] = ()

        def reallocate_output(
            self, tensor_name: str, memory: int, size: int, alignment: int
        ) -> int:
            """size: bytes. Torch aligns to 512, which is more than TensorRT asks."""
            size = max(size, 1)  # TensorRT takes no null pointer, even for no bytes at all
            if size > len(self.room):
                self.room = torch.empty(size, dtype=torch.uint8, device=device)
            return self.room.data_ptr()

        def reallocate_output_async(
            self, tensor_name: str, memory: int, size: int, alignment: int, stream: int
        ) -> int:
            return self.reallocate_output(tensor_name, memory, size, alignment)

        def notify_shape(self, tensor_name: str, shape: tuple[int, ...]) -> None:
            self.shape = tuple(shape)

        def values(self, dtype: torch.dtype) -> Tensor:
            n_bytes = dtype.itemsize
            for side in self.shape:
                n_bytes *= side
            return self.room[:n_bytes].view(dtype).view(self.shape)

    return OutputRoom()
