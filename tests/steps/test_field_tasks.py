"""Tasks of a field: one result for every executor, failures alone, results kept."""

import os
import time

import pytest
from field_functions import Square, dies, square, with_process

from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.steps.field.field_tasks import TaskOptions, task_runner


@pytest.mark.parametrize(
    "options", [TaskOptions(), TaskOptions("processes", 2), TaskOptions(workers=2)]
)
def test_results_in_the_order_of_the_tasks(options):
    tasks = [Square(value, 0.02 * (value % 3)) for value in range(7)]
    with task_runner(options) as run:
        assert run(square, tasks) == [value**2 for value in range(7)]
        # again with the same processes
        assert run(square, tasks[:2]) == [0, 1]
        assert run(square, []) == []


def test_one_that_fails_costs_itself_alone():
    with task_runner(TaskOptions()) as run:
        results = run(square, [Square(1), Square(-2), Square(3)])
    assert results[0] == 1 and results[2] == 9
    assert isinstance(results[1], ZeroDivisionError) and run.n_failed == 1


def test_a_process_that_dies_costs_its_task_alone():
    with task_runner(TaskOptions("processes", 1)) as run:
        results = run(dies, [Square(1), Square(2), Square(3)])
        assert os.getpid() not in run(with_process, [Square(1)])
    assert results[0] == 1 and results[2] == 3
    assert isinstance(results[1], GalstepError)
    assert "ended with exit code 3" in str(results[1])


def test_a_task_without_end_is_given_up():
    started = time.monotonic()
    with task_runner(TaskOptions("processes", 1, time_limit=2.0)) as run:
        results = run(square, [Square(5, 300.0), Square(1)])
    assert results[1] == 1 and "time limit of 2 s" in str(results[0])
    assert time.monotonic() - started < 60


def test_what_is_kept_is_not_done_again(tmp_path):
    options = TaskOptions(keep_in=tmp_path / "kept")
    tasks = [Square(1, key="a"), Square(2, key="b"), Square(-3, key="c"), Square(4)]
    with task_runner(options) as run:
        first = run(square, tasks)
        assert run.n_done == 4
    with task_runner(options) as run:
        second = run(square, tasks)
        # what failed and what has no key
        assert run.n_done == 2
    assert first[:2] + first[3:] == second[:2] + second[3:]
    with task_runner(options) as run:
        assert run(square, [Square(1, key="other")]) == [1] and run.n_done == 1
        # another function of the same task
        assert run(with_process, tasks[:1]) == [os.getpid()]


def test_largest_first():
    order = []

    def noted(task):
        order.append(task.value)

    with task_runner(TaskOptions()) as run:
        run(noted, [Square(1), Square(3), Square(2)])
    assert order == [3, 2, 1]


def test_options_that_contradict_each_other():
    with pytest.raises(ParameterError, match="executor dask needs scheduler"):
        with task_runner(TaskOptions("dask")):
            pass
    with pytest.raises(ParameterError, match="scheduler is for executor dask"):
        with task_runner(TaskOptions("serial", scheduler="tcp://nowhere:1")):
            pass
    with pytest.raises(ParameterError, match="executor serial has one worker, got workers 3"):
        with task_runner(TaskOptions("serial", 3)):
            pass
    with pytest.raises(ParameterError, match="workers must be at least 1"):
        with task_runner(TaskOptions("processes", 0)):
            pass


@pytest.mark.slow
def test_on_a_dask_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        options = TaskOptions(scheduler=cluster.scheduler_address)
        assert options.kind == "dask"
        with task_runner(options) as run:
            results = run(square, [Square(1), Square(-2), Square(3)])
    assert results[0] == 1 and results[2] == 9 and isinstance(results[1], ZeroDivisionError)


def test_no_scheduler():
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        with task_runner(TaskOptions(scheduler="nonsense")):
            pass
