"""Where galaxies are measured: here, in worker processes, or on a Dask cluster.

One seam, `concurrent.futures.Executor`: whoever has many galaxies submits one
call per galaxy and does not know what carries it out.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SerialExecutor", "dask_executor", "thread_executor"]


class SerialExecutor(Executor):
    """Calls made at once, in this process and thread.

    `submit` returns a future that is done. An exception of the call is kept in
    it, as other executors do; ``KeyboardInterrupt`` is not.
    """

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call ``fn`` and return its future; see `concurrent.futures.Executor`."""
        future = Future()
        future.set_running_or_notify_cancel()
        try:
            result = fn(*args, **kwargs)
        # the contract of an executor: whatever the call raises belongs to its future
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future


@contextmanager
def thread_executor(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads, each of which waits for a worker process.

    Calls that have not begun are dropped at the end of the block.

    Parameters
    ----------
    count : int
        Number of threads, at least 1.

    Yields
    ------
    `concurrent.futures.ThreadPoolExecutor`

    Raises
    ------
    ParameterError
        If ``count`` is less than 1.
    """
    if count < 1:
        raise ParameterError(f"workers must be at least 1, got {count}")
    executor = ThreadPoolExecutor(count, thread_name_prefix="galstep-batch")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def dask_executor(address: str, timeout: float = 30.0) -> Iterator[Executor]:
    """The workers of a running Dask scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    timeout : float, optional
        How long to wait for the scheduler's answer (s).

    Yields
    ------
    `concurrent.futures.Executor`
        That of ``distributed.Client.get_executor``; calls are repeated by Dask
        if the worker that has one is lost.

    Raises
    ------
    ParameterError
        If the package ``distributed`` is not installed.
    InputError
        If no scheduler answers at ``address``.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ParameterError(
            "a Dask scheduler needs the package distributed: pip install galstep[dask]"
        ) from error
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
