"""Which pictures a step sees: the same ones whoever asks, and however often a run was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from yolo_slim.processes import n_processes, rank


class EpochBatches(Sampler[list[int]]):
    """Batches of indices in an order that follows from the seed and the epoch alone.

    Of several processes each takes every n-th index, so that their batches together are one batch
    of a single process. The rest that fills no batch is dropped, unless there is no other.

    begin: the batch to begin the next pass with; those before it were seen before an interruption.
    """

    def __init__(self, data: Dataset[Any], batch_size: int, seed: int) -> None:
        self.data, self.batch_size, self.seed = data, batch_size, seed
        self.epoch = self.begin = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    @property
    def n_items(self) -> int:
        """How many indices each process has in an epoch."""
        return max(1, len(self.data) // n_processes())  # type: ignore[arg-type]

    def __len__(self) -> int:
        return max(1, self.n_items // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.data), generator=generator).tolist()  # type: ignore[arg-type]
        mine = order[rank() % len(order) :: n_processes()][: self.n_items]
        for batch in range(self.begin, len(self)):
            yield mine[batch * self.batch_size : (batch + 1) * self.batch_size]


class BatchLoader:
    """What Lightning takes for a loader: the batches of one epoch after the other.

    It remembers how many batches of the epoch were handed out, in a checkpoint too: resumed in the
    middle of an epoch, the next batch is the one that would have come.
    """

    def __init__(
        self,
        data: Dataset[Any],
        collate: Callable[[Any], Any],
        *,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        self.sampler = EpochBatches(data, batch_size, seed)  # Lightning tells it the epoch
        self._loader = DataLoader(
            data,
            batch_sampler=self.sampler,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
        )
        self._done = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        # A generator: nothing is drawn before the first batch is asked for, and by then the epoch
        # is known. Workers would else prepare batches of the wrong one.
        self.sampler.begin = begin = self._done % len(self)
        self._done = begin
        for batch in self._loader:
            self._done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._done = state["done"]
