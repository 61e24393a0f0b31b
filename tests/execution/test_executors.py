"""The seam between many galaxies and what measures them."""

import sys
import threading
from concurrent.futures import Executor

import pytest

from galstep.exceptions import InputError, ParameterError
from galstep.execution.executors import SerialExecutor, dask_executor, thread_executor


def test_serial_calls_at_once():
    executor = SerialExecutor()
    assert isinstance(executor, Executor)
    future = executor.submit(divmod, 7, 2)
    assert future.done()
    assert future.result() == (3, 1)
    assert isinstance(executor.submit(divmod, 1, 0).exception(), ZeroDivisionError)


def test_serial_does_not_hold_back_an_interrupt():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SerialExecutor().submit(interrupt)


def test_threads_drop_what_has_not_begun():
    release, begun = threading.Event(), threading.Event()

    def wait():
        begun.set()
        return release.wait(10)

    with thread_executor(1) as executor:
        first, second = executor.submit(wait), executor.submit(wait)
        begun.wait(10)
    assert second.cancelled()
    release.set()
    assert first.result(10)


def test_number_of_threads():
    with pytest.raises(ParameterError, match="workers must be at least 1, got 0"):
        with thread_executor(0):
            pass


def test_dask_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ParameterError, match=r"pip install galstep\[dask\]"):
        with dask_executor("tcp://127.0.0.1:1"):
            pass


@pytest.mark.filterwarnings("default")
def test_no_scheduler():
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    with pytest.raises(InputError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        with dask_executor("tcp://127.0.0.1:1", timeout=1):
            pass
