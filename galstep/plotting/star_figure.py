"""`star_figure`: the colour-magnitude diagram of the stars."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from galstep.exceptions import InputError
from galstep.filters import filter_wavelength
from galstep.flags import StarFlag
from galstep.records import StarList
from galstep.units import MAG_PER_LN, ab_magnitude

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["choose_colour", "star_colours", "star_figure"]

MIN_SNR = 3.0
_SUSPECT = int(StarFlag.MASKED_PIXELS | StarFlag.NEAR_EDGE | StarFlag.POOR_FIT)
# of being a star of the frame: below it the source may be a piece of the galaxy
_SURE = 0.9


def star_figure(model: GalaxyModel, blue: str | None = None, red: str | None = None) -> Figure:
    """Magnitude of the stars against their colour.

    Full dots are stars without doubt, open ones those at an edge or a mask or fitted poorly,
    triangles those that may be a piece of the galaxy (``star_probability`` below 0.9); diamonds
    are knots, which count as the galaxy. Errors are 1 sigma.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    blue, red : str, optional
        The filters of the colour; the magnitude is that in ``red``. By default
        the widest colour that most of the stars have, see `choose_colour`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a filter is not in the model.
    """
    figure = Figure(figsize=(6.2, 6.6), dpi=110)
    axes = figure.add_axes((0.13, 0.1, 0.84, 0.8))
    figure.text(0.03, 0.955, f"{model.meta.name}: stars", fontsize=12)
    if blue is None or red is None:
        blue, red = choose_colour(model)
    if blue is None:
        axes.text(
            0.5, 0.5, "no stars in two filters", ha="center", va="center", transform=axes.transAxes
        )
        axes.set_axis_off()
        return figure
    stars = star_colours(model, blue, red)
    suspect = stars["flags"] & _SUSPECT > 0
    unsure = (stars["star_probability"] < _SURE) & ~suspect
    plain = ~suspect & ~unsure
    _draw(axes, stars, plain, "stars", mfc="#0072b2", mec="#0072b2")
    _draw(axes, stars, suspect, "edge, mask or poor fit", mfc="none", mec="#d55e00")
    if unsure.any():
        label = "star or piece of the galaxy"
        _draw(axes, stars, unsure, label, fmt="^", mfc="none", mec="#cc79a7")
    knots = star_colours(model, blue, red, "knots")
    if len(knots["mag"]):
        shown = np.ones(len(knots["mag"]), bool)
        _draw(axes, knots, shown, "knots", fmt="D", mfc="none", mec="#009e73")
    axes.invert_yaxis()
    axes.set_xlabel(f"{blue} - {red} (AB mag)")
    axes.set_ylabel(f"{red} (AB mag)")
    if len(suspect) or len(knots["mag"]):
        # above the axes: there it hides no star
        axes.legend(
            fontsize=8.5, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False,
            columnspacing=1, handletextpad=0.2,
        )  # fmt: skip
    return figure


def _draw(axes, stars, chosen, label, fmt="o", **colours):
    axes.errorbar(
        stars["color"][chosen],
        stars["mag"][chosen],
        stars["mag_err"][chosen],
        stars["color_err"][chosen],
        fmt=fmt,
        ms=3.5,
        ecolor="0.82",
        elinewidth=0.6,
        zorder=2,
        label=f"{label} ({chosen.sum()})",
        **colours,
    )


def star_colours(
    model: GalaxyModel, blue: str, red: str, kind: str = "stars"
) -> dict[str, np.ndarray]:
    """Magnitudes and colours of the stars measured in two filters.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    blue, red : str
    kind : {"stars", "knots"}, optional
        Which of the point-like sources.

    Returns
    -------
    dict of str to ndarray
        star_id, mag, mag_err (of ``red``), color, color_err, flags (of both),
        star_probability (the lower of both), of stars with at least `MIN_SNR` in either.

    Raises
    ------
    InputError
        If a filter is not in the model.
    """
    for name in (blue, red):
        if name not in model.bands:
            raise InputError(f"filter {name!r} is not in the model, which has {model.filters}")
    lists = [_detected(model.bands[name], kind) for name in (blue, red)]
    star_id, first, second = np.intersect1d(
        *(stars.star_id for stars in lists), return_indices=True
    )
    mags, errors = [], []
    for name, stars, index in zip((blue, red), lists, (first, second), strict=True):
        band = model.bands[name]
        mag, _ = ab_magnitude(stars.flux[index], 0.0, band.unit, band.pixel_area_sr)
        mags.append(mag)
        errors.append(MAG_PER_LN * stars.flux_err[index] / stars.flux[index])
    return {
        "star_id": star_id,
        "mag": mags[1],
        "mag_err": errors[1],
        "color": mags[0] - mags[1],
        "color_err": np.hypot(*errors),
        "flags": lists[0].flags[first] | lists[1].flags[second],
        "star_probability": np.minimum(
            lists[0].star_probability[first], lists[1].star_probability[second]
        ),
    }


def _detected(band, kind="stars"):
    if not band.fitted:
        return StarList.empty()
    stars = getattr(band.fit, kind)
    with np.errstate(invalid="ignore"):
        return stars.select(stars.flux > MIN_SNR * stars.flux_err)


def choose_colour(model: GalaxyModel) -> tuple[str, str] | tuple[None, None]:
    """The two filters whose colour shows most.

    Of the pairs that have at least 0.7 times as many stars as the best pair,
    the one farthest apart in wavelength.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    (str, str) or (None, None)
        Blue and red; None where no two filters have a star in common.
    """
    detected = {name: set(_detected(band).star_id) for name, band in model.bands.items()}
    order = sorted(detected, key=lambda name: filter_wavelength(name) or 0.0)
    common = {pair: len(detected[pair[0]] & detected[pair[1]]) for pair in combinations(order, 2)}
    most = max(common.values(), default=0)
    if most == 0:
        return None, None
    return max(
        (pair for pair, number in common.items() if number >= 0.7 * most),
        key=lambda pair: (_separation(pair), common[pair]),
    )


def _separation(pair):
    blue, red = (filter_wavelength(name) for name in pair)
    return red / blue if blue and red else 0.0
