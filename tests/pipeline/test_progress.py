"""The progress shown on a terminal."""

import builtins
import io
import logging

import pytest

from galstep.pipeline.progress import progress_over


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        """Yes."""
        return True


def test_nothing_unless_a_terminal():
    stream = io.StringIO()
    with progress_over(["a", "b"], ["toy"], stream) as done:
        done("a", 1.0)
    assert stream.getvalue() == ""


def test_a_line_per_step_without_tqdm(monkeypatch):
    original = builtins.__import__

    def without_tqdm(name, *args, **kwargs):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    stream = Terminal()
    with progress_over(["a", "b"], ["toy"], stream) as done:
        done("a", 1.23)
        done("b", 0.1)
    lines = stream.getvalue().splitlines()
    assert [line[:13] for line in lines] == ["[1/2] a 1.2 s", "[2/2] b 0.1 s"]


def test_one_bar_with_tqdm():
    pytest.importorskip("tqdm")
    stream = Terminal()
    log = logging.getLogger("toy_progress")
    with progress_over(["a", "b"], ["toy_progress"], stream) as done:
        done("a", 1.23)
        done("b", 0.1)
        handlers_during = list(log.handlers)
    assert "2/2" in stream.getvalue()
    assert "b 0.1 s" in stream.getvalue()
    assert len(handlers_during) == 1
    assert log.handlers == []
