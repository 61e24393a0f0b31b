"""The columns of every table: name, unit, type and text, in their order.

One place feeds the writer (`galstep.datamodels.tables`), the product's schema,
the documentation (`column_table`) and the tests.
"""

from dataclasses import dataclass

__all__ = ["COLUMNS", "Column", "column_table"]

FLUX = "flux"  # stands for image unit x pixel, known only when a table is made


@dataclass(frozen=True)
class Column:
    """One column of a product table.

    ``unit`` is a unit as astropy spells it, ``""`` for a number without
    dimension, `FLUX` and ``"image"`` for the unit of a flux and of the image,
    None for what is no quantity (names, numbers of things, bits).
    """

    name: str
    unit: str | None
    text: str
    dtype: type = float


def _with_error(name, unit, text):
    """A column and that of its 1-sigma error."""
    return Column(name, unit, text), Column(f"{name}_err", unit, f"1-sigma error of {name}")


_FILTER = Column("filter", None, "name of the filter", str)
_MAG_TEXT = "AB magnitude; NaN if the flux is not positive"

_SERSIC = (
    _FILTER,
    Column("component", None, "number of the Sersic component, from 0", int),
    *_with_error("x_0", "pix", "centre in the input frame, 0-based, x"),
    *_with_error("y_0", "pix", "centre in the input frame, 0-based, y"),
    *_with_error("r_eff", "pix", "half-light radius along the major axis"),
    *_with_error("n", "", "Sersic index"),
    *_with_error("ellip", "", "ellipticity 1 - b/a"),
    *_with_error("theta", "rad", "angle of the major axis, counter-clockwise from +x"),
    *_with_error("amplitude", "image", "surface brightness at r_eff"),
    *_with_error("flux", FLUX, "total to infinity"),
    *_with_error("mag_ab", "mag", f"total, {_MAG_TEXT}"),
    Column("chi2_reduced", "", "reduced chi-squared of the fit of this filter"),
    Column("flags", None, "galstep.flags.BandFlag bits", int),
)

_PHOT = (
    _FILTER,
    *_with_error("sky", "image", "sky level at the centre of the galaxy"),
    Column("n_stars", None, "number of stars in the model of this filter", int),
    Column("psf_fwhm", "pix", "full width at half maximum of the effective PSF"),
    *_with_error("aper_flux", FLUX, "sum inside the aperture, sky and stars subtracted"),
    *_with_error("aper_mag_ab", "mag", f"of aper_flux, {_MAG_TEXT}"),
    *_with_error("mag_corr", "mag", "aper_mag_ab brought to the PSF of the correction's filter"),
    Column("aper_a", "pix", "semi-major axis of the aperture"),
    Column("aper_b", "pix", "semi-minor axis of the aperture"),
    Column("aper_theta", "rad", "angle of the aperture, counter-clockwise from +x"),
    Column("petrosian_radius", "pix", "Petrosian radius, along the major axis"),
    Column("frac_enclosed", "", "share of the model galaxy's total light in the aperture"),
    Column("color", "mag", "total magnitude of this filter minus that of the base filter"),
    Column("color_err", "mag", "1-sigma error of color, covariance of the two fluxes included"),
    Column("noise_corr", "", "quoted error of the galaxy flux over that of white noise"),
    Column("flags", None, "galstep.flags.BandFlag bits", int),
)

_STARS = (
    Column("star_id", None, "number of the star, the same in all filters", int),
    _FILTER,
    *_with_error("x", "pix", "position in the input frame, 0-based, x"),
    *_with_error("y", "pix", "position in the input frame, 0-based, y"),
    *_with_error("flux", FLUX, "total flux; may be negative"),
    *_with_error("mag_ab", "mag", _MAG_TEXT),
    Column("snr", "", "flux over its error"),
    Column("chi2_reduced", "", "reduced chi-squared within one FWHM"),
    Column("flags", None, "galstep.flags.StarFlag bits", int),
)

#: Table (as in the file ``<name>_<table>.ecsv``) to its columns.
COLUMNS = {"sersic": _SERSIC, "phot": _PHOT, "stars": _STARS}

_UNIT_TEXT = {None: "", "": "none", "image": "image unit", FLUX: "image unit x pix"}


def column_table(table):
    """The columns of one table as a reStructuredText list-table, for the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [("column", "unit", "meaning")]
    rows += [(f"``{c.name}``", _UNIT_TEXT.get(c.unit, c.unit), c.text) for c in COLUMNS[table]]
    for row in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
