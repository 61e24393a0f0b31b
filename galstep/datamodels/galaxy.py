"""`GalaxyModel`: one galaxy in all its filters, as it travels between the steps."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from galstep import __version__
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astropy.table import QTable

    from galstep.datamodels import BandData
    from galstep.hints import PathLike
    from galstep.records import Injections, JointSummary

__all__ = ["GalaxyModel", "Meta"]


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


class GalaxyModel:
    """One galaxy: ``meta``, ``bands`` (filter to `BandData`) and ``joint``.

    It has the methods that ``stpipe`` asks of a data model, inherits nothing
    and knows no CRDS observatory, so steps run without any reference server.

    Parameters
    ----------
    meta : Meta
    bands : dict of str to BandData
        In the order in which the filters are to be processed and listed.
    joint : `galstep.records.JointSummary`, optional
    injections : `galstep.records.Injections`, optional
    """

    crds_observatory = None

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

    def __repr__(self) -> str:
        # one line: stpipe's log shows it before every step
        return f"<GalaxyModel {self.meta.name!r}: {', '.join(self.bands)}>"

    def __str__(self) -> str:
        from galstep.datamodels.tables.model_text import model_text

        return model_text(self)

    def _repr_html_(self) -> str:
        from galstep.datamodels.tables.model_text import model_html

        return model_html(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    @classmethod
    def open(
        cls, source: Any, psf_file: Any = None, filters: Sequence[str] | None = None, **options: Any
    ) -> GalaxyModel:
        """A model of images, or of a product of an earlier run.

        Parameters
        ----------
        source : object
            A path, an object of another package, or a list or mapping of them;
            see `galstep.datamodels.input.open`. A model is returned as it is.
        psf_file : object, optional
            The PSFs; see `galstep.datamodels.psf.psf_input`. Needed for images.
        filters : sequence of str, optional
            The filters to take, in this order. By default all.
        **options
            See `galstep.datamodels.input.read_options.ReadOptions`.

        Returns
        -------
        GalaxyModel

        Raises
        ------
        InputError
            If the input cannot be used.
        """
        from galstep.datamodels.input.open import open_model

        return open_model(source, psf_file=psf_file, filters=filters, **options)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the filters, in order."""
        return tuple(self.bands)

    @property
    def galaxy(self) -> QTable:
        """The target, a row per filter: see `galstep.datamodels.tables.model_views.galaxy_view`."""
        from galstep.datamodels.tables.model_views import galaxy_view

        return galaxy_view(self)

    @property
    def companions(self) -> QTable:
        """Other galaxies, a row per filter, galaxy and component; none without any."""
        from galstep.datamodels.tables.model_views import companion_view

        return companion_view(self)

    @property
    def stars(self) -> QTable:
        """A row per star and filter: the table ``stars``."""
        return self._table("star_table")

    @property
    def knots(self) -> QTable:
        """A row per knot and filter: point-like, but counted as the galaxy's light."""
        return self._table("knot_table")

    @property
    def apertures(self) -> QTable:
        """A row per filter and aperture: the table ``apertures``."""
        return self._table("aperture_table")

    @property
    def sersic(self) -> QTable:
        """A row per filter, galaxy and Sersic component: the table ``sersic``."""
        return self._table("sersic_table")

    def _table(self, name):
        from galstep.datamodels.tables import galaxy_tables as tables

        return getattr(tables, name)(self)

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def copy(self) -> GalaxyModel:
        """A deep copy: no array or record is shared with the original."""
        return copy.deepcopy(self)

    def close(self) -> None:
        """Do nothing: everything is in memory. Part of the data model protocol."""

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write the model to one file.

        The file appears whole or not at all: an earlier file of that name is
        kept until the new one is complete.

        Parameters
        ----------
        path : str, path-like or callable
            The file. A callable is given ``meta.filename`` and returns it.
            The extension decides the format: ``.asdf``, or ``.h5`` / ``.hdf5``
            for the layout of sphot.
        dir_path : str or path-like, optional
            Folder that replaces the one in ``path``.
        *args, **kwargs
            Ignored; ``stpipe`` hosts pass options of other data models.

        Returns
        -------
        str
            The file that was written.

        Raises
        ------
        InputError
            If the extension is not one of these, or the folder is not there.
        """
        path = Path(path(self.meta.filename) if callable(path) else os.fspath(path))
        if dir_path is not None:
            path = Path(dir_path) / path.name
        _writer(path)(self, path)
        return str(path)


def _writer(path):
    """The function that writes files of this extension."""
    extension = path.suffix.lower()
    if extension == ".asdf":
        from galstep.datamodels.products.asdf_io import write_asdf

        return write_asdf
    if extension in (".h5", ".hdf5"):
        from galstep.datamodels.products.hdf5_output import write_hdf5

        return write_hdf5
    raise InputError(
        f"output {path}: the extension must be .asdf, .h5 or .hdf5, got {extension or 'none'!r}"
    )
