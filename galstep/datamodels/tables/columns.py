"""The columns of every table: name, unit, type and text, in their order.

One place feeds the writer (`galstep.datamodels.tables.galaxy_tables`), the product's schema,
the documentation (`column_table`) and the tests.
"""

from dataclasses import dataclass

__all__ = ["COLUMNS", "FIELD", "FIELD_BAND", "FIELD_SINGLE", "Column", "column_table"]

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


def _sky(what):
    """Right ascension and declination."""
    text = f"of {what}, ICRS, by the filter's WCS; NaN without one"
    names = (("ra", "right ascension"), ("dec", "declination"))
    return tuple(Column(name, "deg", f"{long} {text}") for name, long in names)


_FILTER = Column("filter", None, "name of the filter", str)
_MAG_TEXT = "AB magnitude; NaN if the flux is not positive"
_LIMIT_TEXT = "AB magnitude of max(flux, 0) + 3 errors where flux < 3 errors, else NaN"
_FAINT_TEXT = f"of a galaxy flagged faint: {_LIMIT_TEXT}"
_HALF_TEXT = "of the target inside the base filter's half-light ellipse"
_ERROR_PARTS = (
    ("noise_err", "pixels, with the correlation of their noise"),
    ("sky_err", "level of the sky"),
    ("star_err", "subtracted stars, and which sources are stars"),
    ("model_err", "the galaxy's own parameters, and subtracted companions"),
    ("fill_err", "filled pixels"),
)


def _error_parts(prefix=""):
    """The terms that add up, in quadrature, to the error of an aperture's flux."""
    of = f"part of the error of {prefix}flux"
    return tuple(Column(f"{prefix}{name}", FLUX, f"{of}: {text}") for name, text in _ERROR_PARTS)


_SERSIC = (
    _FILTER,
    Column("galaxy_id", None, "whose profile: 0 the target's, 1 and up those of companions", int),
    Column("component", None, "number of the Sersic component in its galaxy, from 0", int),
    *_with_error("x_0", "pix", "centre in the base filter's input frame, 0-based, x"),
    *_with_error("y_0", "pix", "centre in the base filter's input frame, 0-based, y"),
    *_sky("the centre"),
    *_with_error("r_eff", "pix", "half-light radius along the major axis, base filter's pixels"),
    *_with_error("n", "", "Sersic index"),
    *_with_error("ellip", "", "ellipticity 1 - b/a"),
    *_with_error("theta", "rad", "angle of the major axis, counter-clockwise from +x"),
    *_with_error("amplitude", "image", "surface brightness at r_eff"),
    *_with_error("flux", FLUX, "total to infinity, its error along the profile"),
    *_with_error("mag_ab", "mag", f"total, {_MAG_TEXT}"),
    Column("mag_ab_limit", "mag", f"upper limit {_FAINT_TEXT}"),
    *_with_error("matched_mag_ab", "mag", f"{_HALF_TEXT}, in its first row, {_MAG_TEXT}"),
    *_with_error(
        "kron_mag_ab", "mag", f"of the target's Kron ellipse, in its first row, {_MAG_TEXT}"
    ),
    Column("chi2_reduced", "", "reduced chi-squared of the fit of this filter"),
    Column("flags", None, "galstep.flags.BandFlag bits", int),
)

_PHOT = (
    _FILTER,
    *_sky("the target's centre"),
    *_with_error("total_flux", FLUX, "all the target's light: its Sersic components and knots"),
    *_with_error("total_mag_ab", "mag", f"of total_flux, {_MAG_TEXT}"),
    Column("total_mag_ab_limit", "mag", f"upper limit of total_flux {_FAINT_TEXT}"),
    Column("knot_flux", FLUX, "part of total_flux in knots: point-like, but the galaxy's light"),
    Column("n_knots", None, "number of knots in the model of this filter", int),
    Column(
        "core_star_share",
        "",
        "light of point-like sources in the galaxy beyond their expected number, over total_flux",
    ),
    Column("n_core_found", None, "number of point-like sources found in the galaxy", int),
    Column("n_core_expected", "", "stars expected there by the rest of the frame; NaN: not known"),
    *_with_error("sky", "image", "sky level at the centre of the galaxy"),
    Column("n_stars", None, "number of stars in the model of this filter", int),
    Column("psf_fwhm", "pix", "full width at half maximum of the effective PSF"),
    *_with_error(
        "aper_flux", FLUX, "sum inside the aperture, sky, stars and companions subtracted"
    ),
    *_error_parts("aper_"),
    *_with_error("aper_mag_ab", "mag", f"of aper_flux, {_MAG_TEXT}"),
    Column("aper_mag_ab_limit", "mag", f"upper limit of aper_flux, {_LIMIT_TEXT}"),
    *_with_error("kron_flux", FLUX, "sum inside the Kron ellipse, as aper_flux"),
    *_with_error("kron_mag_ab", "mag", f"of kron_flux, {_MAG_TEXT}"),
    Column("kron_a", "pix", "semi-major axis of the Kron ellipse"),
    *_with_error("mag_corr", "mag", "aper_mag_ab brought to the PSF of the correction's filter"),
    Column("aper_a", "pix", "semi-major axis of the aperture"),
    Column("aper_b", "pix", "semi-minor axis of the aperture"),
    Column("aper_theta", "rad", "angle of the aperture, counter-clockwise from +x"),
    Column("petrosian_radius", "pix", "Petrosian radius, along the major axis"),
    Column("frac_enclosed", "", "share of the model galaxy's total light in the aperture"),
    Column("color", "mag", "total magnitude of this filter minus that of the base filter"),
    Column("color_err", "mag", "1-sigma error of color, covariance of the two fluxes included"),
    Column("aper_color", "mag", "mag_corr of this filter minus that of the base filter"),
    Column("aper_color_err", "mag", "1-sigma error of aper_color, covariance included"),
    *_with_error(
        "matched_flux", FLUX, "of the model galaxy inside the base filter's half-light ellipse"
    ),
    *_with_error("matched_mag_ab", "mag", f"of matched_flux, {_MAG_TEXT}"),
    Column("matched_radius", "pix", "semi-major axis of that ellipse, base filter's pixels"),
    *_with_error("color_matched", "mag", "color of matched_flux; safe where totals are not"),
    Column("noise_corr", "", "quoted error of the galaxy flux over that of white noise"),
    Column("flags", None, "galstep.flags.BandFlag bits", int),
)

_APERTURES = (
    _FILTER,
    Column("aperture", None, "petrosian, kron, ellipse, circle or growth", str),
    Column("x", "pix", "centre in the input frame, 0-based, x"),
    Column("y", "pix", "centre in the input frame, 0-based, y"),
    Column("a", "pix", "semi-major axis"),
    Column("b", "pix", "semi-minor axis"),
    Column("theta", "rad", "angle, counter-clockwise from +x"),
    Column("radius", "arcsec", "geometric mean of the semi-axes on the sky"),
    *_with_error("flux", FLUX, "sum inside the aperture, sky, stars and companions subtracted"),
    *_error_parts(),
    *_with_error("mag_ab", "mag", f"of flux, {_MAG_TEXT}"),
    Column("mag_ab_limit", "mag", f"upper limit of flux, {_LIMIT_TEXT}"),
    *_with_error("mag_corr", "mag", "mag_ab brought to the PSF of the correction's filter"),
    *_with_error("color", "mag", "mag_corr of this filter minus that of the base filter"),
    Column("frac_enclosed", "", "share of the model galaxy's total light in the aperture"),
    Column("flags", None, "galstep.flags.BandFlag bits of this aperture alone", int),
)

# of stars, and of what is as point-like but counts as a galaxy's light
_STARS = (
    Column("star_id", None, "number of the source, the same in all filters", int),
    _FILTER,
    *_with_error("x", "pix", "position in the base filter's input frame, 0-based, x"),
    *_with_error("y", "pix", "position in the base filter's input frame, 0-based, y"),
    *_sky("the source"),
    *_with_error("flux", FLUX, "total flux; may be negative"),
    Column("blend_err", FLUX, "part of flux_err: fainter stars too close to be told from it"),
    *_with_error("mag_ab", "mag", _MAG_TEXT),
    Column("mag_ab_limit", "mag", f"upper limit, {_LIMIT_TEXT}"),
    Column("snr", "", "flux over its error"),
    Column("chi2_reduced", "", "reduced chi-squared within one FWHM"),
    Column("group_id", None, "number of the source's group in this filter, from 1", int),
    Column("group_size", None, "number of sources in that group; 0 if not grouped", int),
    Column(
        "star_probability",
        "",
        "that it is a star of the frame, not a piece of a galaxy; 1 where no galaxy is near",
    ),
    Column("flags", None, "galstep.flags.StarFlag bits", int),
)

_FORCED = (
    Column("catalog_id", None, "id in the catalogue that was given; empty for other stars", str),
    Column("star_id", None, "number of the star; -1 where none could be measured", int),
    _FILTER,
    Column("x_given", "pix", "position asked for, base filter's input frame, 0-based, x"),
    Column("y_given", "pix", "position asked for, base filter's input frame, 0-based, y"),
    *_with_error("x", "pix", "where it was measured, base filter's input frame, 0-based, x"),
    *_with_error("y", "pix", "where it was measured, base filter's input frame, 0-based, y"),
    *_sky("the star"),
    *_with_error("flux", FLUX, "total flux; may be negative; NaN without data"),
    Column("flux_limit", FLUX, "max(flux, 0) + n_sigma errors where flux < n_sigma errors"),
    *_with_error("mag_ab", "mag", _MAG_TEXT),
    Column("mag_ab_limit", "mag", "AB magnitude of flux_limit"),
    Column("n_sigma", "", "number of errors of the limits"),
    Column("snr", "", "flux over its error"),
    Column("chi2_reduced", "", "reduced chi-squared within one FWHM"),
    Column("flags", None, "galstep.flags.StarFlag bits", int),
)


def _recovered(name, unit, text):
    """What was put in, what was measured, and its 1-sigma error."""
    return Column(f"{name}_true", unit, f"{text}, as put in"), *_with_error(name, unit, text)


_INJECTION = (
    Column("kind", None, "galaxy (a copy of the fitted one) or star", str),
    Column("number", None, "number of the source, the same in all filters; by kind", int),
    _FILTER,
    Column("found", None, "1 if it was measured, else 0", int),
    Column("isolated", None, "1 if no star with half its flux is within 1.5 FWHM", int),
    Column("snr", "", "true flux over the error: quoted (galaxy), of a faint star here (star)"),
    *_recovered("x", "pix", "position in the input frame, 0-based, x"),
    *_recovered("y", "pix", "position in the input frame, 0-based, y"),
    *_recovered("flux", FLUX, "total flux"),
    *_recovered("r_eff", "pix", "half-light radius along the major axis"),
    *_recovered("n", "", "Sersic index"),
    *_recovered("ellip", "", "ellipticity 1 - b/a"),
    *_recovered("color", "mag", "magnitude of this filter minus that of the base filter"),
    Column("pull_flux", "", "(measured - true) / error of the flux"),
    Column("pull_r_eff", "", "the same of ln r_eff"),
    Column("pull_n", "", "the same of ln n"),
    Column("pull_ellip", "", "the same of the component of (e1, e2) along the true one"),
    Column("pull_color", "", "the same of the colour"),
    Column("flags", None, "galstep.flags.BandFlag bits (galaxy) or StarFlag bits (star)", int),
)


def _share(name, text):
    """A share and its 68 % interval."""
    return (
        Column(name, "", text),
        Column(f"{name}_low", "", f"lower end of the 68 % interval of {name}"),
        Column(f"{name}_high", "", f"upper end of the 68 % interval of {name}"),
    )


_COMPLETENESS = (
    _FILTER,
    Column("snr_min", "", "lower edge of the bin: flux over the error of a faint star"),
    Column("snr_max", "", "upper edge of the bin"),
    Column("injected", None, "stars put into the frame", int),
    Column("found", None, "of these measured again, flux right to a factor of 2", int),
    *_share("completeness", "found / injected"),
    Column("isolated", None, "injected with no star of half their flux within 1.5 FWHM", int),
    Column("isolated_found", None, "of these measured again", int),
    *_share("isolated_completeness", "isolated_found / isolated"),
    Column("listed", None, "stars in the frame's own list, by their measured S/N", int),
    Column("spurious", None, "expected among them that are no stars", int),
    *_share("purity", "1 - spurious / listed"),
)

#: Table (as in the file ``<name>_<table>.ecsv``) to its columns.
COLUMNS = {
    "sersic": _SERSIC,
    "phot": _PHOT,
    "apertures": _APERTURES,
    "stars": _STARS,
    "knots": _STARS,
    "forced": _FORCED,
    "injection": _INJECTION,
    "completeness": _COMPLETENESS,
}

_FIELD_FLUX = "adu"  # whatever the images are in, brought to the zero point zp_ref
_SHAPE = (
    *_with_error("x", "pix", "position on the grid of the first band, 0-based, x"),
    *_with_error("y", "pix", "position on the grid of the first band, 0-based, y"),
    *_with_error("r_eff", "pix", "half-light radius along the major axis, first band's pixels"),
    *_with_error("n", "", "Sersic index; 1 for EXP and 4 for DEV, without an error"),
    *_with_error("ellip", "", "ellipticity 1 - b/a"),
    *_with_error("theta", "deg", "angle of the major axis, counter-clockwise from +x"),
)

#: Columns of a field (``<name>_field``), one row per source: first those of all bands together.
FIELD = (
    Column("id", None, "name of the source: that of the catalogue, as text", str),
    Column("row", None, "row of the input catalogue, from 0; -1 for what was added", int),
    Column("ra", "deg", "right ascension, ICRS, by the first band's WCS; NaN without one"),
    Column("ra_err", "deg", "1-sigma error of ra, times cos(dec)"),
    Column("dec", "deg", "declination, ICRS"),
    Column("dec_err", "deg", "1-sigma error of dec"),
    *_SHAPE[:4],
    Column("x_input", "pix", "where the fit began, x"),
    Column("y_input", "pix", "where the fit began, y"),
    Column("type", None, "STAR, EXP, DEV or SERSIC; empty if not fitted", str),
    Column("type_input", None, "what the catalogue says; AUTO where it says nothing", str),
    *_SHAPE[4:6],
    *_with_error("r_eff_sky", "arcsec", "r_eff on the sky; NaN without a WCS"),
    *_SHAPE[6:],
    Column("flags", None, "galstep.flags.FieldFlag bits", int),
    Column("reliable", None, "no flag of galstep.flags.UNRELIABLE is set", bool),
    Column("issues", None, "why not, in words", str),
    Column("at_bound", None, "parameters that ended at a bound, such as r_eff@upper", str),
    Column("n_iterations", None, "of the fit of its block, all rounds", int),
    Column("converged", None, "whether the source stood still in the last round", bool),
    Column("block", None, "number of the block it was fitted in; -1 for none", int),
    Column("blend", "", "largest coupling with another source: 0 alone, 1 the same place"),
    Column("chi2_star", "", "chi2 as a STAR less that of the type chosen; NaN if not tried"),
    Column("chi2_exp", "", "the same as an EXP"),
    Column("chi2_dev", "", "the same as a DEV"),
    Column("chi2_sersic", "", "the same as a SERSIC"),
    Column("reference_id", None, "name of the reference star it is; empty for none", str),
)

#: Columns of a field for each band; ``{band}`` stands for its name.
FIELD_BAND = (
    *_with_error("flux_{band}", _FIELD_FLUX, "total flux at zero point zp_ref; may be negative"),
    *_with_error("mag_{band}", "mag", _MAG_TEXT),
    Column("mag_{band}_limit", "mag", "of max(flux, 0) + 2 errors where flux < 2 errors, else NaN"),
    Column("chi2_reduced_{band}", "", "reduced chi-squared where the source's light counts"),
    Column("sky_{band}", "adu / pix", "sky beneath the source"),
    Column("frac_in_mask_{band}", "", "share of the source's light on masked pixels"),
    Column("psf_n_stars_{band}", None, "stars that the PSF was made of; 0 if it was given", int),
    Column("psf_fwhm_{band}", "pix", "full width at half maximum of the PSF at the source"),
)


def _of_one_band(column):
    """The column of a shape that holds for one band."""
    stem, err = column.name.removesuffix("_err"), "_err" * column.name.endswith("_err")
    return Column(f"{stem}_{{band}}{err}", column.unit, f"{column.text}, in this band alone")


#: Columns beside them where each band was fitted alone (joint = False).
FIELD_SINGLE = tuple(_of_one_band(column) for column in _SHAPE)

_UNIT_TEXT = {None: "", "": "none", "image": "image unit", FLUX: "image unit x pix"}


def column_table(table: str) -> str:
    """The columns of one table as a reStructuredText list-table, for the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [("column", "unit", "meaning")]
    own = (*FIELD, *FIELD_BAND, *FIELD_SINGLE) if table == "field" else COLUMNS[table]
    rows += [(f"``{c.name}``", _UNIT_TEXT.get(c.unit, c.unit), c.text) for c in own]
    for row in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
