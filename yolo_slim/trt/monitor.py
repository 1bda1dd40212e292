"""How far a build is, as TensorRT reports it from any of its threads; and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread, current_thread, main_thread
from typing import Any, TypeVar

TOTAL = 1000
"""What `advance(done, total)` is told for a whole build: TensorRT's steps nest and are unequal."""

Result = TypeVar("Result")


@dataclass
class _Phase:
    parent: str | None
    n_steps: int
    n_done: int = 0


class Phases:
    """Phases that nest: a step of one is as far as the phase within it."""

    def __init__(self, advance: Callable[[int, int], None] | None = None) -> None:
        self.advance = advance
        self.lock = Lock()
        self.phases: dict[str, _Phase] = {}
        self.furthest = 0
        self.stopped = False

    def start(self, name: str, parent: str | None, n_steps: int) -> None:
        with self.lock:
            self.phases[name] = _Phase(parent if parent != name else None, max(1, n_steps))

    def step(self, name: str, step: int) -> bool:
        """Whether to go on: not after `stop()`."""
        with self.lock:
            if name in self.phases:
                self.phases[name].n_done = step + 1
            self._tell()
        return not self.stopped

    def finish(self, name: str) -> None:
        with self.lock:
            self.phases.pop(name, None)

    def stop(self) -> None:
        """The build ends at its next step."""
        self.stopped = True

    def _tell(self) -> None:
        roots = [name for name, phase in self.phases.items() if phase.parent not in self.phases]
        done = round(TOTAL * max(map(self._share, roots), default=0.0))
        if done > self.furthest and self.advance is not None:
            self.furthest = done
            self.advance(done, TOTAL)

    def _share(self, name: str) -> float:
        """0..1"""
        phase = self.phases[name]
        inner = (self._share(n) for n, other in self.phases.items() if other.parent == name)
        return min(1.0, (phase.n_done + min(1.0, sum(inner))) / phase.n_steps)


def monitor_of(trt: Any, phases: Phases) -> Any:
    """TensorRT's own monitor, which reports to `phases`. It must outlive the build."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def interruptible(work: Callable[[], Result], phases: Phases) -> Result:
    """Runs `work` in a thread, so that Ctrl-C is heard; it stops the work at its next step.

    Raises KeyboardInterrupt once the work has ended, and whatever the work raises.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run)
    with _ctrl_c_stops(phases):
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    if phases.stopped:
        raise KeyboardInterrupt
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def _ctrl_c_stops(phases: Phases) -> Iterator[None]:
    """In place of an exception, which would leave TensorRT at work behind it."""
    usual = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or usual in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: phases.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
