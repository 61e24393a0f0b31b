"""A batch on the workers of a Dask scheduler."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from galstep.batch import BatchOptions, run_batch
from galstep.exceptions import InputError
from galstep.execution.executors import dask_executor
from galstep.testing import make_scene
from galstep.testing.differences import differences

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with one worker, in processes of their own."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_the_same_numbers_and_the_same_failures(galaxies, config, tmp_path, scheduler):
    names = ("good", "dies", "hangs", "fails")
    files = [galaxies(*names) / f"{name}.h5" for name in names]
    here = BatchOptions(config, workers=1, time_limit=20)
    there = BatchOptions(config, scheduler=scheduler, time_limit=20)
    expected = run_batch(files, tmp_path / "here", here)
    found = run_batch(files, tmp_path / "there", there)
    for rows in (expected, found):
        for row in rows.values():
            del row["seconds"]
    assert list(differences(expected, found)) == []
    assert found["dies"]["reason"] == "the worker process was killed by SIGKILL"
    assert found["hangs"]["reason"] == "time limit of 20 s exceeded"


def test_fits_give_the_same_numbers_wherever_they_are_made(tmp_path, scheduler):
    names = ("a", "b")
    for seed, name in enumerate(names):
        scene = make_scene(seed, (51, 51), 6, ("F150W", "F277W"), snr=100.0, psf_size=61)
        scene.write_hdf5(tmp_path / f"{name}.h5")
    files = [tmp_path / f"{name}.h5" for name in names]
    psf_file = str(scene.write_psf(tmp_path / "psf.h5"))
    parameters = {"qa_figure": False, "steps": {"loadcrop": {"psf_file": psf_file}}}
    rows = {}
    for where in ({"workers": 0}, {"workers": 2}, {"scheduler": scheduler}):
        name = str(where.get("workers", "dask"))
        options = BatchOptions(parameters=parameters, **where)
        rows[name] = run_batch(files, tmp_path / name, options)
    for found in rows.values():
        for name, row in rows["0"].items():
            assert row["status"] == "ok"
            assert row["fit_step"] == "jointfit"
            same = {**found[name], "seconds": row["seconds"]}
            assert same.keys() == row.keys()
            for column, value in row.items():
                # kernels that numba has just compiled round otherwise than those of its cache
                exact = not isinstance(value, float)
                expected = value if exact else pytest.approx(value, rel=1e-10, nan_ok=True)
                assert same[column] == expected, column


def test_a_scheduler_without_workers_is_told(galaxies, config, tmp_path, monkeypatch):
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        pytest.raises(InputError, match="has no worker within 1 s"),
        dask_executor(cluster.scheduler_address, timeout=1.0),
    ):
        pass


def test_workers_that_are_lost_are_told(galaxies, config, tmp_path, monkeypatch):
    from distributed import LocalCluster

    from galstep.batch import run

    monkeypatch.setattr(run, "_LOOKED_AFTER", 0.5)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        monkeypatch.setattr(run, "dask_executor", partial(dask_executor, patience=1.0))
        hanging = tmp_path / "data" / "hanging.pid"

        def lose():
            while not hanging.is_file():
                time.sleep(0.1)
            cluster.scale(0)

        thread = threading.Thread(target=lose, daemon=True)
        files = [galaxies("hangs", "good") / f"{name}.h5" for name in ("hangs", "good")]
        thread.start()
        rows = run_batch(files, tmp_path / "out", BatchOptions(config, scheduler=address))
    # the other may have been measured before
    assert rows["hangs"]["reason"] == f"the Dask scheduler at {address} has no worker any more"


def test_interrupt_ends_what_is_measured(galaxies, config, tmp_path, scheduler):
    """No job goes on, or writes, once the batch has let go of its folder."""
    folder, out, pid = galaxies("hangs"), tmp_path / "out", tmp_path / "data/hanging.pid"
    process = subprocess.Popen(
        [sys.executable, "-m", "galstep.cli", "batch", str(folder / "hangs.h5"),
         "--config", config, "--output-dir", str(out), "--scheduler", scheduler],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not pid.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
