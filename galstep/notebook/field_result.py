"""What `fit_field` returns: the catalogue, the bands, pictures, and the model they are of."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable

from galstep.datamodels.field.field_products import product_table
from galstep.datamodels.files.safe_name import safe_name
from galstep.exceptions import InputError, ParameterError
from galstep.flags import FieldFlag, decode
from galstep.notebook.saving import check_absent, make_folder, messages_html, shown
from galstep.steps.field.field_products import write_field_products
from galstep.steps.field.field_render import binned_images, rendered
from galstep.steps.framework.validation import suggestion
from galstep.steps.images.image_step import needs_package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from galstep.datamodels.field.field_model import FieldModel
    from galstep.hints import PathLike

__all__ = ["FieldResult"]

# of a field, shown before the rest is left out
_ROWS_SHOWN = 10


class FieldResult:
    """The stars and galaxies of one field.

    Parameters
    ----------
    model : `galstep.datamodels.field.field_model.FieldModel`
    messages : sequence of str, optional
        The warnings of the run.
    """

    def __init__(self, model: FieldModel, messages: Sequence[str] = ()) -> None:
        self.model = model
        self.messages = list(messages)

    def __len__(self) -> int:
        return len(self.model)

    def __repr__(self) -> str:
        text = str(self.model).replace("<FieldModel", "<FieldResult", 1)
        return "\n".join([text, *(f"! {message}" for message in self.messages)])

    def _repr_html_(self) -> str:
        shown_rows = f"<p>the first {min(len(self), _ROWS_SHOWN)} rows</p>" if len(self) else ""
        first = self._first()._repr_html_() if len(self) else ""
        return f"{self.model._repr_html_()}{shown_rows}{first}{messages_html(self.messages)}"

    def _first(self):
        names = ["id", "type", "x", "y", "ra", "dec", "r_eff", "n"]
        names += [f"{kind}_{band}" for band in self.model.bands for kind in ("flux", "mag")]
        table = self.model.catalog
        first = table[[*names, "flags"]][:_ROWS_SHOWN]
        # whatever a catalogue calls its sources is text
        first["id"] = [escape(str(name)) for name in first["id"]]
        return first

    @property
    def catalog(self) -> QTable:
        """A row per source, those of the input catalogue first and in its order."""
        return product_table(self.model)

    @property
    def stars(self) -> QTable:
        """The rows of ``catalog`` that are stars."""
        return self._of_type(("STAR",))

    @property
    def galaxies(self) -> QTable:
        """The rows of ``catalog`` that are galaxies."""
        return self._of_type(("EXP", "DEV", "SERSIC"))

    def _of_type(self, types):
        table = self.catalog
        return table[np.isin(np.asarray(table["type"]).astype(str), types)]

    @property
    def bands(self) -> QTable:
        """A row per band: noise, PSF, zero point."""
        bands = list(self.model.bands.values())
        psfs = [band.psf for band in bands]
        return QTable(
            {
                "band": [band.name for band in bands],
                "zero_point": u.Magnitude([band.zero_point for band in bands]),
                "sky_sigma": [float(band.sky_sigma) for band in bands],
                "psf_fwhm": [np.nan if psf is None else psf.fwhm for psf in psfs] * u.pix,
                "psf_stars": [0 if psf is None else psf.n_stars for psf in psfs],
                "psf_source": ["" if psf is None else psf.source for psf in psfs],
                "zp": u.Magnitude([band.zp for band in bands]),
                "zp_err": u.Magnitude([band.zp_err for band in bands]),
                "zp_n_stars": [band.zp_n_stars for band in bands],
            }
        )

    @property
    def flags(self) -> dict[str, list[str]]:
        """The flags in words of every source that has any; `galstep.flags` says what they mean."""
        table = self.model.catalog
        return {
            str(name): [word.replace("_", " ") for word in decode(int(bits), FieldFlag)]
            for name, bits in zip(table["id"], table["flags"], strict=True)
            if bits
        }

    def residual(self, band: str | None = None) -> np.ndarray:
        """A band without its sources and its sky, at zero point ``zp_ref``; NaN where masked.

        Parameters
        ----------
        band : str, optional
            By default the first.

        Returns
        -------
        (ny, nx) array
        """
        return self._rendered(band).residual

    def model_image(self, band: str | None = None) -> np.ndarray:
        """The light of all sources in a band, at zero point ``zp_ref``; without the sky.

        Parameters
        ----------
        band : str, optional
            By default the first.

        Returns
        -------
        (ny, nx) array
        """
        return self._rendered(band).model

    def _rendered(self, band):
        if self.model.meta.fit_step is None:
            raise InputError("the field is not fitted: there is no model to draw")
        return rendered(self.model, self._band(band))

    def _band(self, band):
        names = self.model.filters
        if band is None:
            return names[0]
        if band not in names:
            raise ParameterError(
                f"band must be one of {', '.join(names)}, got {band!r}{suggestion(band, names)}"
            )
        return band

    def plot(self, path: PathLike | None = None) -> Figure:
        """Draw data with the sources, residual, errors of the fluxes and zero points.

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
        from galstep.plotting.field import field_figure

        images = binned_images(self.model, self._band(None))
        return shown(field_figure(self.model, *images), path)

    def save(self, path: PathLike, overwrite: bool = False, picture: bool = True,
             table_format: str = "both", images: bool = False) -> str:  # fmt: skip
        """Write the result.

        Parameters
        ----------
        path : path-like
            A file that ends in ``.asdf``: the model alone. Anything else is a folder, made if
            absent: model, table, regions and picture, as the pipeline writes them.
        overwrite : bool, optional
            Replace what is there.
        picture : bool, optional
            Whether the picture is drawn, in a folder.
        table_format : str, optional
            ``ecsv``, ``fits`` or ``both``, in a folder.
        images : bool, optional
            Whether residual and model of each band are written, in a folder.

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
        if path.suffix.lower() == ".asdf":
            check_absent(path, overwrite)
            return self.model.save(path)
        if path.suffix.lower() in (".fits", ".csv", ".ecsv", ".txt", ".h5"):
            raise InputError(
                f"save: {path.name} must end in .asdf, or be a folder; result.catalog.write writes "
                "tables"
            )
        stem = path / f"{safe_name(self.model.meta.name)}_field"
        file = stem.with_name(f"{stem.name}.asdf")
        check_absent(file, overwrite)
        make_folder(path)
        self.model.save(file)
        write_field_products(self.model, str(stem), table_format, picture, images)
        return str(file)
