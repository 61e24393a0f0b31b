"""The errors galstep raises, and when to raise which.

Every failure that can be foreseen (a missing file, a parameter out of range,
an image that cannot be fitted) is a `GalstepError`. It is a ``ValueError`` for
Python callers, and ends ``strun`` with its message in one line, its exit code
and no traceback, because stpipe treats ``StpipeExitException`` that way.
Anything else that escapes is a defect of galstep and shows its traceback.

============================  ====  ===========================================
class                         exit  when
============================  ====  ===========================================
`GalstepError`                1     the base class; a processing failure
`ParameterError`              1     a parameter: unknown, wrong type or range
`ParameterFileError`          2     the parameter file itself cannot be used
`InputError`                  2     an input file is missing or cannot be used
`PrerequisiteError`           1     a step was run before one that it needs
============================  ====  ===========================================

A fit that fails is none of these: it gives a flag (`galstep.flags`) and a
reason in the product, and the rest of the run goes on.
"""

from stpipe.exceptions import StpipeExitException

__all__ = [
    "GalstepError",
    "InputError",
    "ParameterError",
    "ParameterFileError",
    "PrerequisiteError",
]


class GalstepError(StpipeExitException, ValueError):
    """A foreseen failure, told in one line.

    Parameters
    ----------
    message : str
        The argument, file or key concerned, what is needed, and what came.
    exit_status : int, optional
        The exit code of ``strun``; by default that of the class.
    """

    default_exit_status = 1

    def __init__(self, message: str, exit_status: int | None = None) -> None:
        status = self.default_exit_status if exit_status is None else exit_status
        super().__init__(status, message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self):
        # workers of a process pool hand the error back by pickle
        return type(self), (self.message, self.exit_status)


class ParameterError(GalstepError):
    """A parameter that is unknown, of the wrong type or out of range."""


class ParameterFileError(GalstepError):
    """A parameter file that cannot be read or lacks what it needs."""

    default_exit_status = 2


class InputError(GalstepError):
    """An input file that is missing, unreadable or physically impossible."""

    default_exit_status = 2


class PrerequisiteError(GalstepError):
    """A step was asked to work on a model that lacks an earlier result."""
