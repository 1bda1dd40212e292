"""Progress only grows, whichever thread reports it; Ctrl-C ends a build, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import Thread

import pytest

from yolo_slim.trt.monitor import TOTAL, Phases, interruptible


def test_steps_of_inner_phases_are_shares_of_the_outer_step():
    told = []
    phases = Phases(lambda done, total: told.append((done, total)))
    phases.start("build", None, 2)
    phases.start("clone", "build", 4)
    for step in range(4):
        assert phases.step("clone", step)
    phases.finish("clone")
    phases.step("build", 0)
    phases.start("time", "build", 10)
    phases.start("one layer", "time", 2)
    phases.step("one layer", 0)
    phases.finish("one layer")
    phases.step("time", 0)
    phases.finish("time")
    phases.step("build", 1)
    phases.finish("build")
    assert [done for done, _ in told] == [125, 250, 375, 500, 525, 550, 1000]
    assert {total for _, total in told} == {TOTAL}


def test_an_unknown_phase_and_more_steps_than_promised_do_no_harm():
    told = []
    phases = Phases(lambda done, total: told.append(done))
    phases.start("a", "never started", 0)
    assert phases.step("never heard of", 3)
    assert phases.step("a", 7)
    phases.finish("never heard of")
    assert told == [TOTAL]


def test_threads_report_at_once():
    told = []
    phases = Phases(lambda done, total: told.append(done))
    phases.start("build", None, 4)

    def work(name):
        phases.start(name, "build", 200)
        for step in range(200):
            phases.step(name, step)
        phases.finish(name)

    threads = [Thread(target=work, args=(f"part {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == sorted(set(told)) and 0 < told[-1] <= TOTAL


def test_work_gives_its_result_or_its_error():
    assert interruptible(lambda: 7, Phases()) == 7
    with pytest.raises(ValueError, match="no"):
        interruptible(lambda: int("no"), Phases())


@pytest.fixture
def ctrl_c():
    """A handler that raises, which a shell may have ignored; looked at in the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


PRESSED = """
import os, signal, sys, time
from yolo_slim.trt.monitor import Phases, interruptible

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
phases, ended = Phases(), []

def work():
    time.sleep(float(sys.argv[1]))
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    while phases.step("build", 0):
        time.sleep(0.001)
    time.sleep(0.2)  # a signal may be late on a busy machine
    ended.append(True)

try:
    interruptible(work, phases)
except KeyboardInterrupt:
    print("stopped" if ended else "left at work")
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize("after_s", ["0", "0.05"])
def test_ctrl_c_ends_the_work_at_its_next_step(after_s):
    """Also in the moment in which the work begins; pressed again, it does nothing more. In a
    process of its own: a signal that comes late would end the tests."""
    done = subprocess.run(
        [sys.executable, "-c", PRESSED, after_s], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["stopped", "True"], done.stderr


def test_work_in_another_thread_leaves_the_handler_alone(ctrl_c):
    results = []
    thread = Thread(target=lambda: results.append(interruptible(lambda: 7, Phases())))
    thread.start()
    thread.join()
    assert results == [7]


def test_an_ignored_ctrl_c_stays_ignored(ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert interruptible(lambda: (ctrl_c(), 7)[1], Phases()) == 7
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
