"""A batch on the workers of a Dask scheduler."""

import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from galstep.batch import BatchOptions, run_batch
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
