"""The spectral energy distribution: AB magnitudes against wavelength."""

import re

import numpy as np

from galstep.units import ab_magnitude

__all__ = ["draw_sed", "filter_wavelength", "sed_points"]

# HST optical filters are named in nanometres; HST infrared, JWST and Roman
# filters in hundredths of a micron
# fmt: off
_NANOMETRES = frozenset((
    "F200LP", "F218W", "F225W", "F275W", "F300X", "F330W", "F336W", "F350LP", "F390W",
    "F435W", "F438W", "F475W", "F475X", "F555W", "F600LP", "F606W", "F625W", "F775W",
    "F814W", "F850LP",
))
# fmt: on


def filter_wavelength(name):
    """Wavelength (micron) that a filter's name stands for.

    Parameters
    ----------
    name : str
        Such as ``"F150W"`` or ``"F814W"``.

    Returns
    -------
    float or None
        None if the name holds no wavelength.
    """
    match = re.fullmatch(r"F(\d{3,4})[A-Z]{0,2}\d?", name.upper())
    if match is None:
        return None
    return int(match[1]) / (1000 if name.upper() in _NANOMETRES else 100)


def sed_points(model):
    """Total and aperture magnitudes of every filter.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    dict of str to ndarray
        ``"total"`` and ``"aperture"``, each (number of filters, 2): magnitude
        and error, NaN where not measured or not positive.
    """
    points = {"total": [], "aperture": []}
    for band in model.bands.values():
        components = band.fit.sersic if band.fitted else ()
        flux = sum(c.flux for c in components) if components else np.nan
        err = np.sqrt(sum(c.flux_err**2 for c in components)) if components else np.nan
        points["total"].append(ab_magnitude(flux, err, band.unit, band.pixel_area_sr))
        aperture = band.aperture
        flux, err = (np.nan, np.nan) if aperture is None else (aperture.flux, aperture.flux_err)
        points["aperture"].append(ab_magnitude(flux, err, band.unit, band.pixel_area_sr))
    return {kind: np.array(values, dtype=float) for kind, values in points.items()}


def draw_sed(axes, model):
    """Draw the SED: circles for total, squares for aperture magnitudes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    model : galstep.datamodels.GalaxyModel
    """
    names = list(model.bands)
    place = [filter_wavelength(name) for name in names]
    by_wavelength = None not in place
    place = np.array(place, dtype=float) if by_wavelength else np.arange(len(names), dtype=float)
    points = sed_points(model)
    if not np.isfinite(points["total"]).any() and not np.isfinite(points["aperture"]).any():
        axes.text(0.5, 0.5, "no magnitude measured", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    styles = {
        "total": dict(fmt="o", ms=6, color="tab:red", label="total (model)"),
        "aperture": dict(fmt="s", ms=6, mfc="none", color="tab:blue", label="aperture"),
    }
    for kind, style in styles.items():
        magnitude, error = points[kind].T
        shown = np.isfinite(magnitude)
        error = np.where(np.isfinite(error), error, 0)
        if shown.any():
            axes.errorbar(place[shown], magnitude[shown], error[shown], lw=1.2, **style)
    _name_points(axes, names, place, points)
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.25)
    axes.set_ylabel("AB magnitude", fontsize=9)
    axes.legend(fontsize=8, loc="best", frameon=False)
    axes.tick_params(labelsize=8)
    if by_wavelength:
        axes.set_xlabel("wavelength (µm)", fontsize=9)
    else:
        axes.set_xticks(place, names)


def _name_points(axes, names, place, points):
    """Write the filters' names, by turns above and below their points."""
    above = True
    for index in np.argsort(place):
        known = [m[index, 0] for m in points.values() if np.isfinite(m[index, 0])]
        if not known:
            continue
        axes.annotate(
            names[index],
            (place[index], min(known) if above else max(known)),
            (0, 8 if above else -15),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
        above = not above
