"""What a batch tells of itself."""

import pytest

from galstep.batch.job import Job, Outcome
from galstep.batch.plan import Plan
from galstep.batch.progress import Progress
from galstep.steps.run_log import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_time_left_goes_with_the_data():
    jobs = [Job(name, f"/{name}.h5", f"/out/{name}") for name in ("large", "small")]
    rows = {name: {"status": "pending", "reason": ""} for name in ("large", "small")}
    rows["bad"] = {"status": "failed", "reason": "no such file"}
    ticks = iter([0.0, 90.0])
    progress = Progress(Plan(jobs, rows, {"large": 2999, "small": 999}), lambda: next(ticks))
    assert list(progress.opening()) == [
        "3 galaxies: 2 to measure, 0 done earlier, 1 cannot be measured",
        "bad: failed: no such file",
    ]
    # three quarters of the data in 90 s
    line = progress.done(jobs[0], Outcome("ok", "", 90.0))
    assert line == "[1/2] large: ok in 1 min 30 s; 1 failed so far; 30 s left"
    line = progress.done(jobs[1], Outcome.failed("it died"))
    assert line == "[2/2] small: failed: it died; 2 failed so far"
