"""Worker processes seen from outside."""

import os
import queue
import threading
import time
from dataclasses import replace

import pytest

from galstep.batch.job import FAILED, OK, Job, Outcome
from galstep.batch.lease import Lease, lease
from galstep.batch.worker_process import WorkerPool, WorkerProcess, measure_in_new_process
from galstep.exceptions import ParameterError
from galstep.testing import make_scene
from galstep.testing.differences import differences


def is_running(pid):
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def job(galaxies, config, tmp_path):
    """A job on a galaxy of this name."""

    def make(name):
        return Job(name, str(galaxies(name) / f"{name}.h5"), str(tmp_path / name), config)

    return make


def test_job_and_outcome_survive_json():
    job = Job("a", "/a.h5", "/out/a", None, {"steps": {"basefit": {"th_min": "4"}}})
    assert Job.from_json(job.to_json()) == job
    outcome = Outcome(OK, "", 1.5, "0.1", {"flux": 0.1, "n": 3, "name": "é\n"})
    assert "\n" not in outcome.to_json()
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert Outcome.failed("a\n b").reason == "a b"


@pytest.mark.slow
def test_worker_is_kept_and_replaced(job):
    with WorkerPool(time_limit=60) as pool:
        assert pool.measure(job("good")).status == OK
        first = pool.pids
        assert pool.measure(job("other")).status == OK
        assert pool.pids == first
        assert pool.measure(job("dies")).reason == "the worker process was killed by SIGKILL"
        assert pool.measure(job("good")).status == OK
        assert len(pool.pids) == 1
        assert pool.pids != first
        last = pool.pids[0]
    assert not is_running(last)
    assert pool.measure(job("good")).reason == "the batch was stopped"


def test_what_python_raises_is_told_as_it_is(job):
    """Not as the death of the process, which goes on."""
    expected = {
        "exits": "SystemExit: no more",
        "interrupts": "KeyboardInterrupt: ",
        "recurses": "RecursionError: maximum recursion depth exceeded",
        "says": "ValueError: no text: \udce9",
        "breaks": "ZeroDivisionError: a defect",
    }
    with WorkerPool(time_limit=120) as pool:
        assert pool.measure(job("good")).status == OK
        first = pool.pids
        for name, reason in expected.items():
            outcome = pool.measure(job(name))
            assert outcome.status == FAILED
            assert outcome.reason.startswith(reason.strip())
        assert pool.pids == first


def test_a_folder_that_cannot_be_made_is_told(job, tmp_path):
    (tmp_path / "good").touch()
    with WorkerPool(time_limit=120) as pool:
        outcome = pool.measure(job("good"))
    assert outcome.reason == f"folder {tmp_path / 'good'}: cannot be written to (File exists)"


@pytest.mark.parametrize("limit", [float("inf"), 1e10, 0.0, -1.0, float("nan")])
def test_time_limits_that_could_not_be_kept(job, limit):
    with pytest.raises(ParameterError, match="time_limit must be above 0 and at most"):
        measure_in_new_process(job("hangs"), time_limit=limit)


def test_a_worker_ends_when_the_batch_does(job, tmp_path, monkeypatch):
    hanging = tmp_path / "data" / "hanging.pid"
    with lease(tmp_path) as name:
        assert Lease(str(name)).is_valid
        wanted = replace(job("hangs"), lease=str(name))
        outcomes = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: outcomes.put(measure_in_new_process(wanted)))
        thread.start()
        deadline = time.monotonic() + 120
        while not hanging.is_file():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    thread.join(30)
    assert outcomes.get(timeout=1).reason == "the batch was stopped"
    assert not is_running(int(hanging.read_text()))
    # and does not begin for a batch that has ended, or for one that another has followed
    assert measure_in_new_process(wanted).reason == "the batch was stopped"
    with lease(tmp_path) as other:
        assert Lease(str(other)).is_valid
        assert not Lease(str(name)).is_valid
        still = Lease(str(other))
        assert still.is_valid
        monkeypatch.setattr("galstep.batch.lease._STANDS_STILL_AFTER", -1.0)
        assert not still.is_valid
    assert Lease(None).is_valid


@pytest.mark.slow
def test_time_limit(job):
    started = time.monotonic()
    outcome = measure_in_new_process(job("hangs"), time_limit=5)
    assert (outcome.status, outcome.reason) == (FAILED, "time limit of 5 s exceeded")
    assert 5 <= time.monotonic() - started < 20


@pytest.mark.slow
def test_every_process_gives_the_same_bits(tmp_path):
    stars = make_scene(3, (51, 51), 6, ("F150W", "F277W"), snr=100.0, psf_size=61)
    psf_file = str(stars.write_psf(tmp_path / "psf.h5"))
    source = str(stars.write_hdf5(tmp_path / "x.h5"))
    parameters = {"qa_figure": False, "steps": {"loadcrop": {"psf_file": psf_file}}}
    rows = []
    for folder in ("first", "second", "third"):
        job = Job("x", source, str(tmp_path / folder), None, parameters)
        rows.append(measure_in_new_process(job).row)
    assert list(differences(rows[0], rows[1])) == []
    assert list(differences(rows[0], rows[2])) == []
    assert rows[0]["fit_step"] == "jointfit"


def test_worker_ends_with_the_one_who_started_it():
    worker = WorkerProcess()
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0
    worker.kill()


def test_libraries_get_one_thread(job, monkeypatch):
    seen = {}

    def popen(command, **options):
        seen.update(options)
        raise RuntimeError("not started")

    monkeypatch.setattr("galstep.execution.child.subprocess.Popen", popen)
    with pytest.raises(RuntimeError, match="not started"):
        WorkerProcess()
    assert seen["env"]["OMP_NUM_THREADS"] == seen["env"]["OPENBLAS_NUM_THREADS"] == "1"
    assert seen["start_new_session"]
