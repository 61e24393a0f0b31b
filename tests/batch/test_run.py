"""A batch as a whole: what fails, dies or hangs harms nobody else."""

import os
import signal
import subprocess
import sys
import time

import pytest
from astropy.table import Table

from galstep.batch import BatchOptions, run_batch
from galstep.batch.summary import read_rows
from galstep.exceptions import InputError, ParameterError, ParameterFileError


def run(folder, names, config, tmp_path, **options):
    """Measure galaxies of these names; statuses by name, and what was told."""
    told = []
    rows = run_batch(
        [folder / f"{name}.h5" for name in names],
        tmp_path / "out",
        BatchOptions(config_file=config, **options),
        told.append,
    )
    assert read_rows(tmp_path / "out" / "summary.ecsv").keys() == rows.keys()
    return {name: row["status"] for name, row in rows.items()}, told


def reasons(tmp_path):
    """Reason by name, from the file."""
    rows = read_rows(tmp_path / "out" / "summary.ecsv")
    return {name: row["reason"] for name, row in rows.items()}


def test_in_this_process(galaxies, config, tmp_path):
    names = ("good", "fails", "breaks")
    status, told = run(galaxies(*names), names, config, tmp_path, workers=0)
    assert status == {"good": "ok", "fails": "failed", "breaks": "failed"}
    assert reasons(tmp_path)["fails"] == "this galaxy is refused"
    assert reasons(tmp_path)["breaks"] == "ZeroDivisionError: a defect"
    out = tmp_path / "out"
    assert (out / "good" / "good_gal.asdf").is_file()
    assert "Traceback" in (out / "breaks" / "breaks.log").read_text()
    assert "Traceback" not in (out / "fails" / "fails.log").read_text()
    assert told[0] == "3 galaxies: 3 to measure, 0 done earlier, 0 cannot be measured"
    # the largest first
    order = [line.split(":")[0] for line in told[1:]]
    assert order == ["[1/3] breaks", "[2/3] fails", "[3/3] good", "report"]
    page = (out / "report.html").read_text()
    assert page.count("<tr data-") == 3
    assert "this galaxy is refused" in page and "ZeroDivisionError: a defect" in page
    assert told[1].endswith(" left")


@pytest.mark.slow
def test_processes_that_die_hang_or_print(galaxies, config, tmp_path):
    names = ("good", "prints", "dies", "hangs", "leaves", "fails")
    folder = galaxies(*names)
    # a worker of a new environment compiles first, and 25 s of that are no hanging
    run(folder, names[:1], config, tmp_path, workers=1)
    status, _ = run(folder, names, config, tmp_path, workers=2, time_limit=15, overwrite=True)
    assert status == {
        "good": "ok",
        "prints": "ok",
        "dies": "failed",
        "hangs": "failed",
        "leaves": "failed",
        "fails": "failed",
    }
    why = reasons(tmp_path)
    assert why["dies"] == "the worker process was killed by SIGKILL"
    assert why["leaves"] == "the worker process ended with exit code 3"
    assert why["hangs"] == "time limit of 15 s exceeded"
    assert why["fails"] == "this galaxy is refused"


def test_resume_measures_what_is_left(galaxies, config, tmp_path):
    folder = galaxies("a", "b", "fails")
    run(folder, ("a", "b", "fails"), config, tmp_path, workers=0)
    galaxies("new")
    names = ("new", "a", "b", "fails")
    status, told = run(folder, names, config, tmp_path, workers=0, resume=True)
    assert told[0] == "4 galaxies: 2 to measure, 2 done earlier, 0 cannot be measured"
    assert list(status) == list(names)
    _, told = run(folder, names, config, tmp_path, workers=0, resume=True)
    assert told[0].startswith("4 galaxies: 1 to measure, 3 done earlier")
    _, told = run(folder, ("a", "b"), config, tmp_path, workers=0, overwrite=True)
    assert told[0].startswith("2 galaxies: 2 to measure, 0 done")


def test_earlier_summary_is_not_overwritten_unasked(galaxies, config, tmp_path):
    folder = galaxies("a")
    run(folder, ("a",), config, tmp_path, workers=0)
    with pytest.raises(InputError, match=r"is there already: choose between resume and overwrite"):
        run(folder, ("a",), config, tmp_path, workers=0)


def test_missing_data_are_a_failure(galaxies, config, tmp_path):
    table = galaxies("a") / "list.csv"
    table.write_text("input\na.h5\nnone.h5\n")
    rows = run_batch([table], tmp_path / "out", BatchOptions(config_file=config, workers=0))
    assert [row["status"] for row in rows.values()] == ["ok", "failed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
        ({"workers": -1}, "workers must be 0 or more, got -1"),
        ({"time_limit": 0.0}, "time_limit must be above 0 and at most .* s, got 0"),
        ({"time_limit": float("nan")}, "time_limit must be above 0 and at most .* s, got nan"),
        ({"time_limit": float("inf")}, "time_limit must be above 0 and at most .* s, got inf"),
        ({"time_limit": 1e10}, "time_limit must be above 0 and at most .* s, got 1"),
        ({"time_limit": 1e300, "scheduler": "tcp://x:1"}, "time_limit must be above 0 and at"),
        ({"time_limit": 5.0, "workers": 0}, "time_limit needs worker processes"),
    ],
)
def test_options_that_contradict(tmp_path, options, message):
    with pytest.raises(ParameterError, match=message):
        run_batch(["x.h5"], tmp_path, BatchOptions(**options))


def test_parameters_that_are_wrong_for_all(galaxies, config, tmp_path):
    sources = [galaxies("a") / "a.h5"]
    with pytest.raises(ParameterFileError, match=r"none.asdf: there is no such file"):
        run_batch(sources, tmp_path / "out", BatchOptions(str(tmp_path / "none.asdf")))
    wrong = {"steps": {"loadcrop": {"sigma_guess": "-1"}}}
    with pytest.raises(ParameterError, match=r"sigma_guess.*too small"):
        run_batch(sources, tmp_path / "out", BatchOptions(config, wrong))
    assert not (tmp_path / "out" / "summary.ecsv").exists()


def test_one_batch_in_a_folder(galaxies, config, tmp_path):
    from galstep.batch.lock import locked

    folder = galaxies("a")
    (tmp_path / "out").mkdir()
    with (
        locked(tmp_path / "out"),
        pytest.raises(InputError, match="another batch is at work in this folder"),
    ):
        run(folder, ("a",), config, tmp_path, workers=0)


def wait_until(condition):
    """Wait a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "end", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_ended_from_outside(galaxies, config, tmp_path, end):
    names = ("good", "hangs")
    folder, out, pid = galaxies("hangs", "good"), tmp_path / "out", tmp_path / "data/hanging.pid"
    process = subprocess.Popen(
        [sys.executable, "-m", "galstep.cli", "batch", *(str(folder / f"{n}.h5") for n in names),
         "--config", config, "--output-dir", str(out)],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    wait_until(pid.is_file)
    process.send_signal(end)
    code = process.wait(30)
    assert code == (130 if end == signal.SIGINT else -signal.SIGKILL)
    # the worker goes as well, and what was measured is there
    wait_until(lambda: not is_running(int(pid.read_text())))
    rows = read_rows(out / "summary.ecsv")
    assert {name: row["status"] for name, row in rows.items()} == {"good": "ok", "hangs": "pending"}


def test_tables_as_fits(galaxies, config, tmp_path):
    names = ("good", "fails")
    run(galaxies(*names), names, config, tmp_path, workers=0, table_format="both", report=False)
    out = tmp_path / "out"
    binary, text = Table.read(out / "summary.fits"), Table.read(out / "summary.ecsv")
    assert binary.colnames == text.colnames
    assert [name.strip() for name in binary["status"]] == ["ok", "failed"]
    assert (out / "good" / "good_phot.fits").is_file()
    assert (out / "good" / "good_phot.ecsv").is_file()
    assert not (out / "report.html").exists()
