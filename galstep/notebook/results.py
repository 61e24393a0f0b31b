"""What `fit` and `fit_stars` return: tables, pictures, and the model they are of."""

from __future__ import annotations

import io
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.tables.drawn_names import with_plain_names
from galstep.datamodels.tables.main_numbers import main_numbers
from galstep.datamodels.tables.model_text import model_html
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.steps.framework.base import MODEL_EXTENSIONS
from galstep.steps.framework.validation import suggestion
from galstep.steps.galaxy.products import PICTURES, save_figure, write_beside
from galstep.steps.images.image_step import needs_package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable
    from matplotlib.figure import Figure

    from galstep.datamodels import GalaxyModel
    from galstep.datamodels.sky.star_field_model import StarFieldModel
    from galstep.hints import PathLike

__all__ = ["FitResult", "StarFieldResult"]

# of a star field, shown before the rest is left out
_ROWS_SHOWN = 10


class FitResult:
    """One measured galaxy.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    messages : sequence of str, optional
        The warnings of the run.
    """

    def __init__(self, model: GalaxyModel, messages: Sequence[str] = ()) -> None:
        self.model = model
        self.messages = list(messages)

    def __repr__(self) -> str:
        text = str(self.model).replace("<GalaxyModel", "<FitResult", 1)
        return "\n".join([text, *(f"! {message}" for message in self.messages)])

    def _repr_html_(self) -> str:
        return model_html(self.model) + _messages_html(self.messages)

    @property
    def galaxy(self) -> QTable:
        """The galaxy, a row per filter: place, shape, light, flags."""
        return self.model.galaxy

    @property
    def stars(self) -> QTable:
        """A row per star and filter."""
        return self.model.stars

    @property
    def knots(self) -> QTable:
        """A row per knot and filter: point-like, but counted as the galaxy's light."""
        return self.model.knots

    @property
    def companions(self) -> QTable:
        """Other galaxies in the frame, a row per filter, galaxy and component."""
        return self.model.companions

    @property
    def apertures(self) -> QTable:
        """A row per filter and aperture."""
        return self.model.apertures

    @property
    def sersic(self) -> QTable:
        """A row per filter, galaxy and Sersic component."""
        return self.model.sersic

    @property
    def flags(self) -> dict[str, list[str]]:
        """The flags of each filter in words; `galstep.flags` says what they mean."""
        return {numbers.filter: numbers.words for numbers in main_numbers(self.model)}

    def plot(self, picture: str = "qa", path: PathLike | None = None, **options: Any) -> Figure:
        """Draw a picture.

        Parameters
        ----------
        picture : str, optional
            ``qa`` (the overview), ``profiles``, ``sed``, ``stars``, ``growth``,
            ``convergence``, ``completeness``.
        path : path-like, optional
            Write it there as well.
        **options
            Of the function in `galstep.plotting`.

        Returns
        -------
        `matplotlib.figure.Figure`
            Notebooks show it.

        Raises
        ------
        ParameterError
            If there is no such picture.
        GalstepError
            If matplotlib is not installed.
        """
        if picture not in PICTURES:
            raise ParameterError(
                f"picture must be one of {', '.join(PICTURES)}, got {picture!r}"
                f"{suggestion(picture, PICTURES)}"
            )
        needs_package("matplotlib", "plot", "plot")
        from galstep.plotting import FIGURES

        return _shown(FIGURES[picture](with_plain_names(self.model), **options), path)

    def save(self, path: PathLike, overwrite: bool = False, pictures: Sequence[str] = ("qa",),
             table_format: str = "ecsv") -> str:  # fmt: skip
        """Write the result.

        Parameters
        ----------
        path : path-like
            A file that ends in ``.asdf`` or ``.h5``: the model alone. Anything else is a
            folder, made if absent: model, tables, regions and pictures, as the pipeline
            writes them.
        overwrite : bool, optional
            Replace what is there.
        pictures : sequence of str, optional
            Which, for a folder.
        table_format : str, optional
            ``ecsv``, ``fits`` or ``both``, for a folder.

        Returns
        -------
        str
            The file of the model; `galstep.read` opens it.

        Raises
        ------
        GalstepError
            If it is there already, or cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() in MODEL_EXTENSIONS:
            _check_absent(path, overwrite)
            return self.model.save(path)
        name = safe_name(self.model.meta.name)
        file = path / f"{name}_gal.asdf"
        _check_absent(file, overwrite)
        _make_folder(path)
        self.model.save(file)
        write_beside(self.model, str(file), "gal", pictures, table_format=table_format)
        return str(file)


class StarFieldResult:
    """The stars of one image.

    Parameters
    ----------
    model : `galstep.datamodels.sky.star_field_model.StarFieldModel`
    messages : sequence of str, optional
        The warnings of the run.
    """

    def __init__(self, model: StarFieldModel, messages: Sequence[str] = ()) -> None:
        self.model = model
        self.messages = list(messages)

    def __len__(self) -> int:
        return len(self.model)

    def __repr__(self) -> str:
        lines = self._first().pformat(max_width=100)
        return "\n".join([f"<{self._title()}>", *lines, *(f"! {m}" for m in self.messages)])

    def _repr_html_(self) -> str:
        table = self._first()._repr_html_()
        return f"<p><b>{escape(self._title())}</b></p>{table}{_messages_html(self.messages)}"

    def _title(self):
        flagged = int(np.count_nonzero(np.asarray(self.model.rows.flags)))
        shown = min(len(self), _ROWS_SHOWN)
        return (
            f"StarFieldResult {self.model.image.name!r}: {len(self)} stars, {flagged} of them "
            f"with flags; PSF {self.model.fwhm:.2f} pixels wide; the first {shown} rows"
        )

    def _first(self):
        wanted = ("id", "x_fit", "y_fit", "ra", "dec", "flux_fit", "flux_err", "mag_ab", "flags")
        names = [name for name in wanted if name in self.stars.colnames]
        return self.stars[names][:_ROWS_SHOWN]

    @property
    def stars(self) -> QTable:
        """The catalogue, a row per star; columns as photutils has them."""
        return self.model.catalog

    @property
    def residual(self) -> np.ndarray:
        """The image without stars and sky, NaN where bad."""
        return self.model.residual_image()

    def plot(self, path: PathLike | None = None) -> Figure:
        """Draw image, model and residual.

        Parameters
        ----------
        path : path-like, optional
            Write it there as well.

        Returns
        -------
        `matplotlib.figure.Figure`
            Notebooks show it.
        """
        needs_package("matplotlib", "plot", "plot")
        from galstep.plotting.star_field import star_field_figure

        return _shown(star_field_figure(self.model), path)

    def save(self, path: PathLike, overwrite: bool = False) -> str:
        """Write the catalogue, and beside it residual and regions.

        Parameters
        ----------
        path : path-like
            A file that ends in ``.ecsv``, or a folder, made if absent.
        overwrite : bool, optional
            Replace what is there.

        Returns
        -------
        str
            The file of the catalogue.

        Raises
        ------
        GalstepError
            If it is there already, or cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".ecsv":
            if path.suffix.lower() in (".fits", ".csv", ".txt", ".dat"):
                raise InputError(
                    f"save: {path.name} must end in .ecsv, or be a folder; result.stars.write "
                    "writes other formats"
                )
            _make_folder(path)
            path = path / f"{safe_name(self.model.image.name)}_starphot.ecsv"
        _check_absent(path, overwrite)
        return self.model.save(path)


def _messages_html(messages):
    if not messages:
        return ""
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return f"<p>warnings:</p><ul>{items}</ul>"


def _check_absent(path, overwrite):
    if path.exists() and not overwrite:
        raise GalstepError(f"{path} is there already: overwrite=True replaces it")


def _make_folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalstepError(f"folder {str(path)!r} cannot be made: {error.strerror}") from error


def _shown(figure, path):
    """The figure, written if asked, and known to notebooks: it has no pyplot behind it."""
    if path is not None:
        save_figure(lambda: figure, path)
    if not hasattr(figure, "_repr_png_"):
        figure._repr_png_ = partial(_png, figure)
    return figure


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
