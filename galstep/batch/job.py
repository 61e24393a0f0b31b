"""`Job` and `Outcome`: what goes to a worker and what comes back, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Self

__all__ = ["FAILED", "OK", "PENDING", "Job", "Outcome"]

OK, FAILED, PENDING = "ok", "failed", "pending"


@dataclass(frozen=True)
class Job:
    """One galaxy to be measured.

    Parameters
    ----------
    name : str
        What its products and its row are called.
    input : str or list of str
        Absolute path of the data, or of the images of one galaxy.
    folder : str
        Absolute path of the folder of its products.
    config_file : str or None
        Absolute path of a parameter file.
    parameters : dict
        Parameters of the pipeline that win over the file: nested as for
        `galstep.pipeline.GalPipeline.call`, values as text or lists of text.
    lease : str or None
        Absolute path of a file that says whether the batch still wants the result; see
        `galstep.batch.lease`.
    report : str or None
        Absolute path of the folder that what the page shows of it is kept in; see
        `galstep.report`.
    """

    name: str
    input: str | list[str]
    folder: str
    config_file: str | None = None
    parameters: dict = field(default_factory=dict)
    lease: str | None = None
    report: str | None = None

    def to_json(self) -> str:
        """The job as one line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The job that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Parameters
    ----------
    status : str
        `OK` or `FAILED`.
    reason : str, optional
        Why it failed, in one line.
    seconds : float, optional
        Time of the measurement.
    version : str, optional
        The galstep that measured.
    row : dict, optional
        Column to number or text; see `galstep.batch.row`.
    said : str, optional
        The result in a few words, for the line that tells of it.
    """

    status: str
    reason: str = ""
    seconds: float = float("nan")
    version: str = ""
    row: dict = field(default_factory=dict)
    said: str = ""

    @classmethod
    def failed(cls, reason: str, seconds: float = float("nan")) -> Outcome:
        """A failure; line ends in ``reason`` become spaces."""
        return cls(FAILED, " ".join(str(reason).split()), seconds)

    def to_json(self) -> str:
        """The outcome as one line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The outcome that `to_json` wrote."""
        return cls(**json.loads(text))
