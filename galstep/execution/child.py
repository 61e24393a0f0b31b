"""Processes of one's own that are given work and may be killed, and those kept for the next work.

They are started afresh, not forked, with one thread for the linear algebra, and are not in the
terminal's process group: an interrupt reaches the one who waits alone.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["START_LIMIT", "ChildProcess", "KeptProcesses"]

# the matrices are small: more threads of BLAS double the cost and gain nothing
_ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
#: A process that has not imported its libraries by then never will (s).
START_LIMIT = 300.0
# a process that has closed its end of the line, or was killed, is gone by then (s)
_END_LIMIT = 10.0

Answer = TypeVar("Answer")


class ChildProcess:
    """One process seen from outside.

    Parameters
    ----------
    module : str
        What it runs: ``python -m module``.
    environment : dict of str, optional
        Variables that hold where the environment has none of that name.
    **options
        For ``subprocess.Popen``.
    """

    def __init__(
        self, module: str, environment: dict[str, str] | None = None, **options: Any
    ) -> None:
        variables = (environment or {}) | os.environ | dict.fromkeys(_ONE_THREAD, "1")
        variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            start_new_session=True,
            **options,
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can take more work."""
        return self.process.poll() is None

    def until(self, seconds: float | None, answer: Callable[[], Answer]) -> tuple[Answer, bool]:
        """An answer of the process, which is killed at the limit.

        Parameters
        ----------
        seconds : float or None
            None: no limit.
        answer : callable
            Waits for the answer; returns something without meaning where the process ended.

        Returns
        -------
        answer : object
        too_late : bool
            Whether the process was killed.
        """
        too_late = threading.Event()

        def kill():
            too_late.set()
            self.process.kill()

        timer = threading.Timer(threading.TIMEOUT_MAX if seconds is None else seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            return answer(), too_late.is_set()
        finally:
            timer.cancel()

    def wait_for_end(self) -> None:
        """Wait for a process that is ending, but not for ever."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_LIMIT)

    def cause_of_death(self) -> str:
        """How the process ended, in words that follow "the worker process"."""
        code = self.process.returncode
        if code is not None and code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    def stop(self) -> None:
        """End the process at once; who waits for it is told."""
        self.process.kill()

    def kill(self) -> None:
        """End the process at once and wait for it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            # work that was not taken is still in the buffer
            with suppress(BrokenPipeError):
                stream.close()


Child = TypeVar("Child", bound=ChildProcess)


class KeptProcesses(Generic[Child]):
    """Processes that are kept for the next work.

    As many are started as threads ask for one. One that has died, or was
    killed, is replaced when it is needed.

    Parameters
    ----------
    start : callable
        Starts one.
    """

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        self._all: list[Child] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that live."""
        with self._lock:
            return [child.pid for child in self._all if child.alive]

    def take(self) -> Child | None:
        """A process that is free, or a new one; None after `close`."""
        while True:
            try:
                child = self._idle.get_nowait()
            except queue.Empty:
                break
            if child.alive:
                return child
        with self._lock:
            if self._closed:
                return None
            child = self._start()
            self._all = [other for other in self._all if other.alive] + [child]
            return child

    def give_back(self, child: Child) -> None:
        """Keep a process for the next work."""
        self._idle.put(child)

    def close(self) -> None:
        """Kill all processes; what they were doing is lost."""
        with self._lock:
            self._closed = True
            children, self._all = self._all, []
            for child in children:
                child.stop()
        # none may write any more when the caller lets go of its folder
        for child in children:
            child.wait_for_end()
        # a thread that still waits for its answer closes the streams itself
        while not self._idle.empty():
            self._idle.get().kill()
