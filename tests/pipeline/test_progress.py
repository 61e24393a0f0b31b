"""The progress shown on a terminal."""

import builtins
import io
import logging
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from galstep.pipeline.progress import Progress, progress_over
from galstep.steps.field.field_share import FitShare


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


def test_a_step_that_runs_counts_in_part():
    now = [0.0]
    progress = Progress(["basefit", "jointfit"], lambda: now[0])
    now[0] = 10.0
    progress.part_done("basefit", 0.5)
    whole = 22.0 + 36.0
    assert progress.share == pytest.approx(11.0 / whole)
    assert progress.left == pytest.approx(10.0 * (whole - 11.0) / 11.0)
    # never back, never more than the step is
    progress.part_done("basefit", 0.2)
    assert progress.share == pytest.approx(11.0 / whole)
    progress.part_done("basefit", 7.0)
    assert progress.share == pytest.approx(22.0 / whole)
    progress.step_done("basefit", 6)
    progress.part_done("basefit", 0.5)  # late
    assert progress.share == pytest.approx(22.0 / whole)
    progress.part_done("a step of nobody", 0.5)
    assert progress.share == pytest.approx(22.0 / whole)


def test_a_bar_within_a_step_is_not_drawn_at_every_word():
    pytest.importorskip("tqdm")
    stream = Terminal()
    with progress_over(["a", "b"], ["toy"], stream) as done:
        for part in range(1000):
            done.part("a", part / 1000)
        done("a", 1.0)
    assert stream.getvalue().count("left") < 20


def test_share_of_a_field_s_fit():
    told = []
    share = FitShare(told.append, n_fits=2)
    for _ in range(2):
        for name in ("start_tile", "fit_block", "fit_block", "search_tile", "fit_block"):
            for part in (0.3, 0.9, 1.0):
                share(name, part)
        share.next_fit()
    assert told == sorted(told) and 0 < told[0] and told[14] < 0.5 < told[-1] < 1


HERE = Path(__file__).parent


def watched(stderr):
    """The toy pipeline in a process of its own."""
    paths = [str(HERE.parents[1]), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE / "watched.py")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "TERM": "xterm"},
    )  # fmt: skip


def test_on_a_terminal_the_bar_goes_on_within_a_long_step():
    pytest.importorskip("tqdm")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    main, end = os.openpty()
    # a new one is 0 columns wide
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = watched(end)
    os.close(end)
    text = b""
    try:
        while part := os.read(main, 4096):
            text += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(60) == 0
    os.close(main)
    shares = [int(number) for number in re.findall(r"(\d+)%\|", text.decode())]
    # half of the work is the long step's
    assert shares and shares == sorted(shares) and shares[-1] == 100, text
    assert len({share for share in shares if 0 < share < 50}) >= 2
    assert re.search(r"long, about \S+ \S+ left", text.decode())


def test_in_a_file_there_is_no_bar(tmp_path):
    with open(tmp_path / "err", "wb") as stream:
        assert watched(stream).wait(120) == 0
    assert "%" not in (tmp_path / "err").read_text()
