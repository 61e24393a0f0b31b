"""`GalaxyData`: one galaxy in all its filters, as records and arrays."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self

from galstep import __version__

if TYPE_CHECKING:
    from galstep.datamodels.model.band import BandData
    from galstep.records import Injections, JointSummary

__all__ = ["GalaxyData", "Meta"]


@dataclass
class Meta:
    """What is known of the galaxy as a whole.

    Parameters
    ----------
    name : str
        Stem of the input file; products are called after it.
    filename : str, optional
        Name of the input file, without its folder.
    base_filter : str, optional
        The filter that gives the shape; None until a step has chosen it.
    input_shape : tuple of int, optional
        (ny, nx) of the frame before it was cropped.
    target_position : tuple of float, optional
        (x, y) where the galaxy was said or found to be, in the input frame of
        ``target_filter`` (0-based pixels); None: near the middle.
    target_filter : str, optional
    fit_step : str, optional
        Key of the last fit step that ran; None before any.
    cal_step : `types.SimpleNamespace`, optional
        An attribute per step (its class alias): ``"COMPLETE"``, ``"SKIPPED"``.
    parameters : dict, optional
        Step key to the parameters it ran with.
    timings : dict, optional
        Step key to seconds.
    version : str, optional
        The galstep that made the model.
    history : list of str, optional
        One line per step that ran.
    convergence : dict, optional
        Step key to the passes of its main loop: threshold, n_found, n_stars, chi2
        and the shape after each (pixels of the crop), lists of one length.
    """

    name: str
    filename: str = ""
    base_filter: str | None = None
    input_shape: tuple | None = None
    target_position: tuple | None = None
    target_filter: str | None = None
    fit_step: str | None = None
    cal_step: SimpleNamespace = field(default_factory=SimpleNamespace)
    parameters: dict = field(default_factory=dict)
    timings: dict = field(default_factory=dict)
    version: str = __version__
    history: list = field(default_factory=list)
    convergence: dict = field(default_factory=dict)


class GalaxyData:
    """One galaxy: ``meta``, ``bands`` (filter to `BandData`) and ``joint``.

    What readers make, and tables and files are made of; a
    `galstep.datamodels.GalaxyModel` also opens, shows and saves itself.

    Parameters
    ----------
    meta : Meta
    bands : dict of str to BandData
        In the order in which the filters are to be processed and listed.
    joint : `galstep.records.JointSummary`, optional
    injections : `galstep.records.Injections`, optional
    """

    def __init__(
        self,
        meta: Meta,
        bands: dict[str, BandData],
        joint: JointSummary | None = None,
        injections: Injections | None = None,
    ) -> None:
        self.meta = meta
        self.bands = dict(bands)
        self.joint = joint
        self.injections = injections

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the filters, in order."""
        return tuple(self.bands)

    def copy(self) -> Self:
        """A deep copy: no array or record is shared with the original."""
        return copy.deepcopy(self)
