"""Radial profiles in elliptical annuli."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from galstep.units import ab_magnitude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from galstep.datamodels import BandData
    from galstep.plotting.panels import BandImages
    from galstep.records import SersicParams

__all__ = [
    "RadialProfile",
    "band_profile",
    "draw_profile",
    "draw_profile_residual",
    "elliptical_radius",
    "half_light_radius",
    "radial_profile",
    "share_radii",
    "zero_point",
]

N_SECTORS = 8
DATA_COLOUR, MODEL_COLOUR, RADIUS_COLOUR = "black", "#d55e00", "#0072b2"


@dataclass(frozen=True)
class RadialProfile:
    """Means in elliptical annuli; arrays of one length.

    ``radius`` is the mean semi-major radius of the annulus' pixels; ``err`` the
    error of ``data``: the larger of what the errors of its pixels give, as if
    they were independent, and what its sectors scatter.
    """

    radius: np.ndarray
    data: np.ndarray
    err: np.ndarray
    model: np.ndarray


def elliptical_radius(shape: tuple[int, int], params: SersicParams) -> np.ndarray:
    """Semi-major radius (pixels) of every pixel about a Sersic profile's centre.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    params : galstep.records.SersicParams

    Returns
    -------
    ndarray, shape (ny, nx)
    """
    return np.hypot(*_along_axes(shape, params))


def _along_axes(shape, params):
    """Offsets along the major axis, and along the minor one over the axis ratio."""
    y, x = np.indices(shape)
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    dx, dy = x - params.x_0, y - params.y_0
    return dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - params.ellip)


def radial_profile(
    data: np.ndarray,
    sigma: np.ndarray,
    model: np.ndarray,
    mask: np.ndarray,
    params: SersicParams,
    radius_max: float,
) -> RadialProfile:
    """Profile of an image and of a model of it, in the same pixels.

    Annuli are a pixel wide near the centre and a tenth of the radius farther
    out. An annulus without a good pixel is left out. Its error is found from
    the scatter of ``data - model`` between `N_SECTORS` sectors, which knows of
    noise that is correlated from pixel to pixel, but is never below that of
    independent pixels.

    Parameters
    ----------
    data, sigma, model : ndarray, shape (ny, nx)
        Image, the error of its pixels, and the model.
    mask : ndarray of bool, shape (ny, nx)
        True = bad.
    params : galstep.records.SersicParams
        Centre, ellipticity and angle of the annuli.
    radius_max : float
        Outermost radius (pixels).

    Returns
    -------
    RadialProfile
    """
    edges = [0.0]
    while edges[-1] < radius_max:
        edges.append(edges[-1] + max(1.0, 0.1 * edges[-1]))
    along, across = _along_axes(data.shape, params)
    radius = np.hypot(along, across)
    good = ~mask & (radius < edges[-1]) & np.isfinite(data)
    bins = np.digitize(radius[good], edges) - 1
    number = np.bincount(bins, minlength=len(edges) - 1)
    kept = number > 0

    def mean(values):
        return np.bincount(bins, values, minlength=len(number))[kept] / number[kept]

    white = np.sqrt(mean(sigma[good] ** 2) / number[kept])
    sector = np.arctan2(across[good], along[good]) / (2 * np.pi) * N_SECTORS
    cells = bins * N_SECTORS + np.floor(sector).astype(int) % N_SECTORS
    between = _sector_error((data - model)[good], cells, len(number))[kept]
    return RadialProfile(
        mean(radius[good]), mean(data[good]), np.fmax(white, between), mean(model[good])
    )


def _sector_error(values, cells, n_annuli):
    """Error of each annulus' mean from the scatter of its sectors, weighted by pixels.

    NaN where fewer than three quarters of the sectors have pixels.
    """
    size = n_annuli * N_SECTORS
    number = np.bincount(cells, minlength=size).reshape(n_annuli, N_SECTORS)
    total = np.bincount(cells, values, minlength=size).reshape(n_annuli, N_SECTORS)
    pixels = np.maximum(number.sum(axis=1), 1)
    mean = total.sum(axis=1) / pixels
    # of sum_s (total_s - number_s mean) / pixels, sectors being independent
    scatter = ((total - number * mean[:, None]) ** 2).sum(axis=1)
    filled = (number > 0).sum(axis=1)
    error = np.sqrt(scatter * filled / np.maximum(filled - 1, 1)) / pixels
    return np.where(filled >= 0.75 * N_SECTORS, error, np.nan)


def band_profile(band: BandData, images: BandImages) -> RadialProfile | None:
    """The profile of a fitted filter out to 4 r_eff or beyond its apertures.

    Of the data without stars, sky and companions; the model is galaxy and knots. The annuli have
    the shape of the component with the most light.

    Parameters
    ----------
    band : galstep.datamodels.BandData
    images : galstep.plotting.panels.BandImages

    Returns
    -------
    RadialProfile or None
        None where fewer than two annuli have pixels.
    """
    params = max(band.fit.target, key=lambda component: component.flux).params
    apertures = () if band.aperture is None else (band.aperture, *band.aperture.others)
    reach = [a.aperture.a for a in apertures if a.kind in ("petrosian", "kron")]
    aperture_a = max((a for a in reach if np.isfinite(a)), default=0.0)
    profile = radial_profile(
        images.target_data,
        images.sigma,
        images.target,
        band.mask,
        params,
        min(max(4 * params.r_eff, 1.2 * aperture_a), max(band.shape)),
    )
    return profile if len(profile.radius) > 1 else None


def half_light_radius(band: BandData) -> float:
    """Semi-major axis of the half-light ellipse of all components, in a filter's own pixels.

    Parameters
    ----------
    band : galstep.datamodels.BandData
        With a target. Where only one component was fitted that is r_eff; so is what stands for
        a fit that has no ``matched_radius``.
    """
    first = band.fit.target[0].params.r_eff
    of_all = band.fit.matched_radius * band.fit.pixel_map.scale
    return of_all if len(band.fit.target) > 1 and of_all > 0 else first


def zero_point(band: BandData) -> float:
    """Magnitude per square arcsec of a brightness of 1 in a filter's unit; NaN without one.

    Parameters
    ----------
    band : galstep.datamodels.BandData
    """
    of_pixel, _ = ab_magnitude(1.0, 0.0, band.unit, band.pixel_area_sr)
    return float(of_pixel + 2.5 * np.log10(band.pixel_scale**2))


def draw_profile(
    axes: Axes,
    profile: RadialProfile,
    r_eff: float | None,
    aperture_a: float | None,
    unit: str,
    pixel_scale: float = 1.0,
    zero: float = np.nan,
) -> None:
    """Draw a profile: points with errors, the model as a line, radii as marks.

    Both axes are logarithmic. Points that are not positive cannot stand there: an arrow
    shows two sigma above them, or above zero.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    profile : RadialProfile
    r_eff, aperture_a : float or None
        Marked at r_eff, 2 r_eff and the aperture's semi-major axis.
    unit : str
        Unit of the brightness.
    pixel_scale : float, optional
        Side of a pixel (arcsec): radii are drawn in arcsec.
    zero : float, optional
        See `zero_point`: brightness is then numbered in mag per square arcsec.
    """
    profile = replace(profile, radius=profile.radius * pixel_scale)
    r_eff, aperture_a = (r if r is None else r * pixel_scale for r in (r_eff, aperture_a))
    seen = profile.data > 0
    floor = np.maximum(profile.data - profile.err, 1e-3 * np.abs(profile.data))
    axes.fill_between(
        profile.radius[seen],
        floor[seen],
        (profile.data + profile.err)[seen],
        color="0.75",
        lw=0,
        label="1 σ",
    )
    axes.plot(
        profile.radius[seen],
        profile.data[seen],
        ls="",
        marker="o",
        ms=2.5,
        color=DATA_COLOUR,
        label="data - stars - sky",
        zorder=3,
    )
    limits = np.maximum(profile.data, 0) + 2 * profile.err
    axes.plot(
        profile.radius[~seen], limits[~seen], ls="", marker="v", ms=3.5, mfc="none", mec="0.4"
    )
    axes.plot(profile.radius, profile.model, color=MODEL_COLOUR, lw=1.3, label="galaxy model")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(NullLocator())
    _set_brightness_range(axes, profile)
    _mark_radii(axes, r_eff, aperture_a)
    _set_radius_axis(axes, profile.radius)
    axes.set_ylabel(unit, fontsize=7.5, labelpad=1)
    if np.isfinite(zero):
        _number_in_magnitudes(axes, zero)
    axes.tick_params(labelsize=7.5)


def _number_in_magnitudes(axes, zero):
    """Ticks at round magnitudes per square arcsec; brighter stays up."""
    faint, bright = (zero - 2.5 * np.log10(limit) for limit in axes.get_ylim())
    marks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(bright, faint)
    marks = marks[(marks >= bright) & (marks <= faint)]
    axes.yaxis.set_major_locator(FixedLocator(10 ** (0.4 * (zero - marks))))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{mark:g}" for mark in marks]))
    axes.set_ylabel("mag/arcsec²", fontsize=7.5, labelpad=1)


def _set_radius_axis(axes, radius):
    axes.set_xscale("log")
    # the innermost annulus may lie on the centre itself
    axes.set_xlim(0.8 * max(radius.min(), 0.005 * radius.max()), 1.1 * radius.max())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def share_radii(profiles: Sequence[Axes]) -> None:
    """One radius axis for profiles above each other, numbered below the last.

    Parameters
    ----------
    profiles : sequence of matplotlib.axes.Axes
        Those on which nothing is drawn are left alone.
    """
    drawn = [axes for axes in profiles if axes.lines]
    if not drawn:
        return
    limits = [axes.get_xlim() for axes in drawn]
    for axes in drawn:
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
        axes.tick_params(labelbottom=axes is drawn[-1])
    drawn[0].legend(fontsize=7, loc="lower left", framealpha=0.8, edgecolor="none")
    drawn[-1].set_xlabel("semi-major radius (arcsec)", fontsize=8.5)


def draw_profile_residual(
    axes: Axes,
    profile: RadialProfile,
    r_eff: float | None,
    aperture_a: float | None,
    pixel_scale: float = 1.0,
) -> None:
    """Draw (data - model) / model in per cent with its error, radii as marks.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    profile : RadialProfile
    r_eff, aperture_a, pixel_scale : float or None
        As for `draw_profile`.
    """
    profile = replace(profile, radius=profile.radius * pixel_scale)
    r_eff, aperture_a = (r if r is None else r * pixel_scale for r in (r_eff, aperture_a))
    shown = profile.model > 0
    share = 100 / profile.model[shown]
    residual = share * (profile.data - profile.model)[shown]
    err = share * profile.err[shown]
    radius = profile.radius[shown]
    axes.axhline(0, color=MODEL_COLOUR, lw=1)
    axes.fill_between(radius, residual - err, residual + err, color="0.75", lw=0)
    axes.plot(radius, residual, ls="", marker="o", ms=2.5, color=DATA_COLOUR)
    inner = radius < (2.5 * r_eff if r_eff else np.inf)
    reach = np.percentile(np.abs(residual[inner]) + err[inner], 90) if inner.any() else 10.0
    axes.set_ylim(-1.3 * max(reach, 2), 1.3 * max(reach, 2))
    _mark_radii(axes, r_eff, aperture_a)
    axes.tick_params(labelsize=7.5)


def _mark_radii(axes, r_eff, aperture_a):
    for radius, style in ((r_eff, ":"), (r_eff and 2 * r_eff, ":"), (aperture_a, "-")):
        if radius is not None:
            axes.axvline(radius, ls=style, lw=0.9, color=RADIUS_COLOUR, zorder=1)


def _set_brightness_range(axes, profile):
    """From the faintest point, or half the outer annuli's error, to above the brightest."""
    shown = np.concatenate([profile.data, profile.model])
    shown = shown[shown > 0]
    if shown.size == 0:
        return
    noise = 0.5 * np.nanmedian(profile.err[len(profile.err) // 2 :])
    bottom = max(0.3 * shown.min(), noise if np.isfinite(noise) else 0.0)
    if bottom < shown.max():
        axes.set_ylim(bottom, 2 * shown.max())
