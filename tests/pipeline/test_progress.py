"""The progress shown on a terminal."""

import builtins
import io
import logging

import pytest

from galstep.pipeline.progress import Progress, progress_over


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
    assert "left" in lines[0] and "left" not in lines[1]


def test_one_bar_with_tqdm():
    pytest.importorskip("tqdm")
    stream = Terminal()
    log = logging.getLogger("toy_progress")
    with progress_over(["a", "b"], ["toy_progress"], stream) as done:
        done("a", 1.23)
        done("b", 0.1)
        handlers_during = list(log.handlers)
    assert " 50%" in stream.getvalue() and "100%" in stream.getvalue()
    assert "b 0.1 s" in stream.getvalue()
    assert len(handlers_during) == 1
    assert log.handlers == []


def test_time_left_goes_with_the_cost_of_the_steps():
    now = [0.0]
    progress = Progress(["loadcrop", "psfcalibrate", "basefit", "jointfit"], lambda: now[0])
    assert progress.left != progress.left
    now[0] = 10.0
    progress.step_done("loadcrop", 6)
    progress.step_done("psfcalibrate", 6)
    # 6 (0.7 + 1.7) of 6 (0.7 + 1.7 + 6) + 22
    assert progress.share == pytest.approx(14.4 / 72.4)
    assert progress.left == pytest.approx(10.0 * 58.0 / 14.4)
    progress.step_done("basefit", 6)
    progress.step_done("jointfit", 6)
    assert progress.share == 1.0 and progress.left == 0.0


def test_few_filters_make_the_shared_fits_cheap():
    one, six = (Progress(["basefit", "jointfit"]) for _ in range(2))
    one.step_done("basefit", 1)
    six.step_done("basefit", 6)
    assert one.share > 0.7 > six.share
