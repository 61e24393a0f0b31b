"""Worker processes that carry out calls: what crashes costs itself alone."""

import os
import time

import calls
import pytest

from galstep.exceptions import GalstepError, ParameterError
from galstep.execution.processes import process_executor


def is_running(pid):
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_calls_are_carried_out_elsewhere():
    with process_executor(2) as executor:
        found = list(executor.map(calls.squared, range(5)))
        pids = executor.pids
    assert [value for value, _ in found] == [0, 1, 4, 9, 16]
    assert os.getpid() not in {pid for _, pid in found}
    assert not any(is_running(pid) for pid in pids)


def test_what_is_printed_is_no_result():
    with process_executor(1) as executor:
        assert executor.submit(calls.printed, "between").result() == "between"


def test_one_that_crashes_costs_itself_alone():
    with process_executor(1) as executor:
        futures = [
            executor.submit(calls.squared, 3),
            executor.submit(calls.killed),
            executor.submit(calls.broken, 7),
            executor.submit(calls.squared, 4),
        ]
        assert futures[0].result()[0] == 9
        with pytest.raises(GalstepError, match="the worker process was killed by SIGKILL"):
            futures[1].result()
        with pytest.raises(GalstepError, match="ZeroDivisionError: by 7"):
            futures[2].result()
        assert futures[3].result()[0] == 16


def test_a_call_without_end_is_given_up():
    started = time.monotonic()
    with process_executor(1, time_limit=3.0) as executor:
        with pytest.raises(GalstepError, match="time limit of 3 s exceeded"):
            executor.submit(calls.endless).result()
        assert executor.submit(calls.squared, 2).result()[0] == 4
    assert time.monotonic() - started < 60


def test_the_end_of_the_block_does_not_wait():
    started = time.monotonic()
    with process_executor(1) as executor:
        future = executor.submit(calls.endless)
        while not executor.pids:
            time.sleep(0.01)
    assert time.monotonic() - started < 30
    assert isinstance(future.exception(), GalstepError)


def test_no_processes_are_no_executor():
    with pytest.raises(ParameterError, match="workers must be at least 1, got 0"):
        with process_executor(0):
            pass


def test_a_call_that_cannot_be_made_there(monkeypatch, tmp_path):
    (tmp_path / "gone.py").write_text("def value():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone

    with process_executor(1) as executor:
        assert executor.submit(calls.squared, 2).result()[0] == 4
        (tmp_path / "gone.py").unlink()
        with pytest.raises(GalstepError, match="cannot be made here: ModuleNotFoundError"):
            executor.submit(gone.value).result()
        assert executor.submit(calls.squared, 3).result()[0] == 9
