"""Radial profiles in elliptical annuli."""

from dataclasses import dataclass

import numpy as np

__all__ = ["RadialProfile", "draw_profile", "elliptical_radius", "radial_profile"]


@dataclass(frozen=True)
class RadialProfile:
    """Means in elliptical annuli; arrays of one length.

    ``radius`` is the mean semi-major radius of the annulus' pixels; ``err`` the
    error of ``data`` from the errors of its pixels, as if they were independent.
    """

    radius: np.ndarray
    data: np.ndarray
    err: np.ndarray
    model: np.ndarray


def elliptical_radius(shape, params):
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
    y, x = np.indices(shape)
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    dx, dy = x - params.x_0, y - params.y_0
    return np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - params.ellip))


def radial_profile(data, sigma, model, mask, params, radius_max):
    """Profile of an image and of a model of it, in the same pixels.

    Annuli are a pixel wide near the centre and a tenth of the radius farther
    out. An annulus without a good pixel is left out.

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
    radius = elliptical_radius(data.shape, params)
    good = ~mask & (radius < edges[-1]) & np.isfinite(data)
    bins = np.digitize(radius[good], edges) - 1
    number = np.bincount(bins, minlength=len(edges) - 1)
    kept = number > 0

    def mean(values):
        return np.bincount(bins, values, minlength=len(number))[kept] / number[kept]

    err = np.sqrt(mean(sigma[good] ** 2) / number[kept])
    return RadialProfile(mean(radius[good]), mean(data[good]), err, mean(model[good]))


def draw_profile(axes, profile, r_eff, aperture_a, unit):
    """Draw a profile: points with errors, the model as a line, radii as marks.

    Points that are not positive cannot stand on a logarithmic axis: an arrow
    shows two sigma above them, or above zero.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    profile : RadialProfile
    r_eff, aperture_a : float or None
        Marked at r_eff, 2 r_eff and the aperture's semi-major axis.
    unit : str
        Unit of the brightness.
    """
    seen = profile.data > 0
    floor = np.where(seen, np.minimum(profile.err, 0.999 * np.abs(profile.data)), 0)[seen]
    axes.errorbar(
        profile.radius[seen],
        profile.data[seen],
        yerr=(floor, profile.err[seen]),
        fmt="o",
        ms=2.5,
        lw=0.8,
        color="black",
        label="data - stars - sky",
        zorder=3,
    )
    limits = np.maximum(profile.data, 0) + 2 * profile.err
    axes.plot(
        profile.radius[~seen], limits[~seen], ls="", marker="v", ms=3.5, mfc="none", mec="0.4"
    )
    axes.plot(profile.radius, profile.model, color="tab:red", lw=1.3, label="galaxy model")
    axes.set_yscale("log")
    _set_brightness_range(axes, profile)
    for radius, style in ((r_eff, ":"), (2 * r_eff, ":"), (aperture_a, "-")):
        if radius is not None:
            axes.axvline(radius, ls=style, lw=0.9, color="tab:blue", zorder=1)
    axes.set_xlim(0, profile.radius.max() * 1.03)
    axes.set_ylabel(unit, fontsize=7.5, labelpad=1)
    axes.tick_params(labelsize=7.5)


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
