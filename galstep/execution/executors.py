"""Where calls are carried out: here, in threads, or on a Dask cluster.

One seam, `concurrent.futures.Executor`: whoever has many galaxies, or a field in
many blocks, submits one call for each and does not know what carries it out.
Processes are in `galstep.execution.processes`.
"""

from __future__ import annotations

import time
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
        except Exception as error:  # noqa: BLE001
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
def dask_executor(
    address: str, timeout: float = 30.0, patience: float = 60.0
) -> Iterator[tuple[Executor, Callable]]:
    """The workers of a running Dask scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    timeout : float, optional
        How long to wait for the scheduler's answer, and for a first worker (s).
    patience : float, optional
        How long there may be no worker later on, or no scheduler (s).

    Yields
    ------
    executor : `concurrent.futures.Executor`
        That of ``distributed.Client.get_executor``; calls are repeated by Dask
        if the worker that has one is lost.
    lost : callable
        Why no call will end any more, "" as long as some will.

    Raises
    ------
    ParameterError
        If the package ``distributed`` is not installed.
    InputError
        If no scheduler answers at ``address``, or it has no worker.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ParameterError(
            "a Dask scheduler needs the package distributed: pip install galstep[dask]"
        ) from error
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise InputError(
                f"the Dask scheduler at {address!r} has no worker within {timeout:g} s"
            ) from error
        executor = client.get_executor(pure=False)
        try:
            yield executor, _Watch(client, address, patience)
        finally:
            executor.shutdown(wait=False)


class _Watch:
    """Looks whether a Dask scheduler has workers, and since when it has none."""

    def __init__(self, client, address, patience):
        self._client, self._address, self._patience = client, address, patience
        self._seen = time.monotonic()

    def __call__(self) -> str:
        try:
            n_workers = len(self._client.nthreads())
            what = "has no worker"
        # whatever a client says whose scheduler is gone
        except Exception:  # noqa: BLE001
            n_workers, what = 0, "does not answer"
        if n_workers:
            self._seen = time.monotonic()
        gone = time.monotonic() - self._seen
        if gone <= self._patience:
            return ""
        return f"the Dask scheduler at {self._address} {what} any more"
