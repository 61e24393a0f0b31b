"""`FieldModel`: a field of stars and galaxies in several bands, as it travels between the steps."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from astropy.table import QTable, Table

from galstep import __version__
from galstep.datamodels.field.field_catalog import empty_start
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.datamodels.field.field_band import FieldBand
    from galstep.hints import PathLike

__all__ = ["FieldBlock", "FieldMeta", "FieldModel"]


@dataclass
class FieldMeta:
    """What is known of the field as a whole.

    Parameters
    ----------
    name : str
        Products are called after it.
    filename : str
        Name of the input file, without its folder.
    zp_ref : float
        Zero point that all bands are brought to.
    catalog : str
        Where the catalogue came from; "" without one.
    fit_step : str, optional
        Key of the fit step that ran; None before it.
    joint : bool
        Whether all bands were fitted together.
    cal_step, parameters, timings, version, history
        As in `galstep.datamodels.galaxy.Meta`.
    rounds : list of dict
        What each round of the fit did, for each fit.
    """

    name: str
    filename: str = ""
    zp_ref: float = 25.0
    catalog: str = ""
    fit_step: str | None = None
    joint: bool = True
    cal_step: SimpleNamespace = field(default_factory=SimpleNamespace)
    parameters: dict = field(default_factory=dict)
    timings: dict = field(default_factory=dict)
    version: str = __version__
    history: list = field(default_factory=list)
    rounds: list = field(default_factory=list)


@dataclass
class FieldBlock:
    """A block of sources that were fitted together.

    Parameters
    ----------
    number : int
    x0, y0, x1, y1 : int
        Its rectangle, pixels of the first band: x0 <= x < x1, y0 <= y < y1.
    rows : (n,) int array
        Its sources, rows of the catalogue.
    n_iterations : int
    chi2, n_pixels : (n_bands,) arrays
    sky : (n_bands, n_terms) array
        Coefficients of its sky.
    seconds : float
    reason : str
        Why it failed; "" if it did not.
    band : str
        The band it is of, where each was fitted alone; "" for all.
    """

    number: int
    x0: int
    y0: int
    x1: int
    y1: int
    rows: np.ndarray
    n_iterations: int
    chi2: np.ndarray
    n_pixels: np.ndarray
    sky: np.ndarray
    seconds: float
    reason: str = ""
    band: str = ""


class FieldModel:
    """A field: ``meta``, ``bands``, what the fit starts from, and what it found.

    It has the methods that ``stpipe`` asks of a data model. Images stay in their files; they are
    read part by part.

    Parameters
    ----------
    meta : `FieldMeta`
    bands : dict of str to `galstep.datamodels.field.field_band.FieldBand`
        The first one's pixels are the grid of all positions.
    start : `astropy.table.Table`
        See `galstep.datamodels.field.field_catalog.empty_start`: every row of the input catalogue in
        its order, what was added behind.

    Attributes
    ----------
    catalog : `astropy.table.QTable`
        One row per row of ``start`` (see `galstep.datamodels.tables.columns.FIELD`); what was not
        measured is NaN.
    inputs : `astropy.table.QTable`
        Columns of the input catalogue that mean nothing here; rows as in ``start``.
    covariance : list of (k, k) arrays
        Of each source's own parameters, named in ``covariance_names``.
    covariance_names : list of list of str
    blocks : list of `FieldBlock`
    ellipses : (n, 5) array
        The mask of bright light that the catalogue lacks: x, y, a, b (pixels), angle (radians).
    """

    crds_observatory = None

    def __init__(
        self, meta: FieldMeta, bands: dict[str, FieldBand], start: Table | None = None
    ) -> None:
        from galstep.datamodels.field.field_tables import empty_catalog

        self.meta = meta
        self.bands = dict(bands)
        self.start = empty_start(0, list(bands)) if start is None else start
        self.inputs = QTable()
        self.catalog = empty_catalog(self.start, list(bands))
        self.covariance: list[np.ndarray] = []
        self.covariance_names: list[list[str]] = []
        self.blocks: list[FieldBlock] = []
        self.ellipses = np.zeros((0, 5))

    def __len__(self) -> int:
        return len(self.start)

    def __repr__(self) -> str:
        return f"<FieldModel {self.meta.name!r}: {', '.join(self.bands)}; {len(self)} sources>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    @classmethod
    def open(cls, source: PathLike | FieldModel) -> FieldModel:
        """The model that an earlier run has saved; a model is returned as it is.

        Parameters
        ----------
        source : path-like or FieldModel
            ``<name>_field.asdf``. The images must be where they were.

        Raises
        ------
        InputError
            If it is no such product, or cannot be read.
        """
        if isinstance(source, FieldModel):
            return source
        from galstep.datamodels.field.field_io import read_field

        return read_field(source)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(self.bands)

    @property
    def reference(self) -> FieldBand:
        """The band whose pixels positions are in."""
        if not self.bands:
            raise InputError("the field has no band")
        return next(iter(self.bands.values()))

    @property
    def n_failed(self) -> int:
        """Number of blocks whose fit failed."""
        return sum(bool(block.reason) for block in self.blocks)

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def copy(self) -> FieldModel:
        """A copy that may be changed freely; images, which no step changes, are shared."""
        other = copy.copy(self)
        images = {id(b.source): b.source for b in self.bands.values() if b.path is None}
        for name in ("meta", "bands", "start", "inputs", "catalog", "covariance", "blocks"):
            setattr(other, name, copy.deepcopy(getattr(self, name), dict(images)))
        other.covariance_names = copy.deepcopy(self.covariance_names)
        other.ellipses = self.ellipses.copy()
        return other

    def close(self) -> None:
        """Do nothing: part of the data model protocol."""

    def in_memory(self) -> list[SkyImage]:
        """The images that are in no file."""
        return [band.source for band in self.bands.values() if band.path is None]

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write the model; the tables are written by `galstep.datamodels.field.field_products`.

        Parameters
        ----------
        path : path-like or callable
        dir_path : path-like, optional
            Folder that replaces the one in ``path``.
        *args, **kwargs
            Ignored.

        Returns
        -------
        str
            The file.
        """
        from galstep.datamodels.field.field_io import write_field

        path = Path(path(self.meta.filename) if callable(path) else path)
        path = (path.parent if dir_path is None else Path(dir_path)) / path.name
        write_field(self, path)
        return os.fspath(path)
