"""What `make_scene` draws or fills in: one function per ingredient."""

import numpy as np
from astropy.table import Table
from scipy import ndimage

from galstep.exceptions import ParameterError
from galstep.records import SersicParams, SkyModel

# total fluxes of the default galaxy (MJy/sr x pixel): a reddish one
_FLUXES = {
    "F555W": 8.0,
    "F814W": 20.0,
    "F090W": 24.0,
    "F150W": 45.0,
    "F160W": 48.0,
    "F277W": 60.0,
}
_NOISE = ("white", "correlated", "none")


def check(filters, shape, n_stars, noise, sky):
    """Raise `ParameterError` for the arguments that everything else relies on."""
    if not filters or len(set(filters)) != len(filters):
        raise ParameterError(f"filters must be one or more different names, got {filters}")
    if len(shape) != 2 or min(shape) < 16:
        raise ParameterError(f"shape must be (ny, nx) of 16 pixels or more, got {shape}")
    if n_stars < 0:
        raise ParameterError(f"n_stars must be 0 or more, got {n_stars}")
    if noise not in _NOISE:
        raise ParameterError(f"noise must be one of {', '.join(_NOISE)}; got {noise!r}")
    if not isinstance(sky, dict) and sky not in ("plane", "none"):
        raise ParameterError(f"sky must be 'plane', 'none' or a dict by filter, got {sky!r}")


def by_filter(value, filters, argument, default):
    """``value`` as a dict with every filter; a dict may leave filters at ``default``."""
    if value is None:
        return dict.fromkeys(filters, default)
    if not isinstance(value, dict):
        return dict.fromkeys(filters, value)
    unknown = set(value) - set(filters)
    if unknown:
        raise ParameterError(
            f"{argument} names filters that are not in the scene: {', '.join(sorted(unknown))}"
        )
    return {name: value.get(name, default) for name in filters}


def sersic(rng, shape):
    """A galaxy near the centre of the frame, its r_eff a fifteenth of the frame."""
    ny, nx = shape
    return SersicParams(
        x_0=(nx - 1) / 2 + rng.uniform(-1, 1),
        y_0=(ny - 1) / 2 + rng.uniform(-1, 1),
        r_eff=min(shape) / 15 * rng.uniform(0.8, 1.2),
        n=rng.uniform(0.8, 2.5),
        ellip=rng.uniform(0.15, 0.6),
        theta=rng.uniform(0, np.pi),
    )


def fluxes(given, filters):
    """Total flux by filter; what is given must be complete and positive."""
    if given is None:
        return {name: _FLUXES.get(name, 30.0) for name in filters}
    result = by_filter(given, filters, "fluxes", None)
    bad = [name for name, value in result.items() if value is None or not value > 0]
    if bad:
        raise ParameterError(f"fluxes must be positive in every filter, {bad[0]} is not")
    return {name: float(value) for name, value in result.items()}


def noise_sigma(unit_images, fluxes, snr):
    """Pixel noise that gives the galaxy the S/N wanted, by filter."""
    snr = by_filter(snr, tuple(unit_images), "snr", 100.0)
    bad = [value for value in snr.values() if not value > 0]
    if bad:
        raise ParameterError(f"snr must be positive, got {bad[0]}")
    return {
        name: float(fluxes[name] * np.sqrt(np.sum(image**2)) / snr[name])
        for name, image in unit_images.items()
    }


def stars(rng, number, shape, sigma, area, snr_range, separation, sersic):
    """Stars spread evenly, fluxes from a power law, one colour parameter each."""
    filters = tuple(sigma)
    reference = "F150W" if "F150W" in filters else filters[len(filters) // 2]
    x, y = _positions(rng, number, shape, separation, sersic)
    low, high = snr_range
    # dN/dF ~ F^-1.5 between the limits, by its inverse distribution
    share = rng.uniform(size=number)
    snr = (low**-0.5 + share * (high**-0.5 - low**-0.5)) ** -2
    table = Table({"x": x, "y": y})
    temperature = rng.normal(0, 0.5, number)
    for index, name in enumerate(filters):
        lever = index - filters.index(reference)
        ratio = sigma[name] * np.sqrt(area[name]) / (sigma[reference] * np.sqrt(area[reference]))
        table[f"flux_{name}"] = (
            snr * sigma[reference] * np.sqrt(area[reference]) * ratio
            * 10 ** (0.25 * lever * temperature)
        )  # fmt: skip
    return table


def _positions(rng, number, shape, separation, sersic):
    places = np.zeros((0, 2))
    for _ in range(200 * max(number, 1)):
        if len(places) == number:
            return places[:, 0], places[:, 1]
        place = rng.uniform(1, np.array(shape[::-1]) - 2)
        taken = np.vstack([places, [(sersic.x_0, sersic.y_0)]])
        if np.hypot(*(taken - place).T).min() >= separation:
            places = np.vstack([places, place])
    raise ParameterError(
        f"star_separation={separation} leaves no room for n_stars={number} in {shape}"
    )


def complete_stars(table, filters, sigma, area):
    """The star table with ``star_id`` and S/N columns."""
    missing = {"x", "y", *(f"flux_{name}" for name in filters)} - set(table.colnames)
    if missing:
        raise ParameterError(f"stars lacks the columns {', '.join(sorted(missing))}")
    table = Table(table, copy=True)
    if "star_id" not in table.colnames:
        table.add_column(np.arange(1, len(table) + 1), name="star_id", index=0)
    for name in filters:
        table[f"snr_{name}"] = table[f"flux_{name}"] / (sigma[name] * np.sqrt(area[name]))
    return table


def sky(rng, kind, filters, sigma, shape, sersic, frames):
    """A `SkyModel` by filter, terms scaled to half the frame.

    ``frames`` has the shape and the galaxy of filters with a grid of their own.
    """
    coefficients = {}
    for name in filters:
        drawn = sigma[name] * rng.normal((3, 0, 0), (1, 0.5, 0.5))
        coefficients[name] = (0.0, 0.0, 0.0) if kind == "none" else tuple(map(float, drawn))
    if isinstance(kind, dict):
        coefficients |= by_filter(kind, filters, "sky", (0.0, 0.0, 0.0))
    return {
        name: _plane(terms, *frames.get(name, (shape, sersic)))
        for name, terms in coefficients.items()
    }


def _plane(terms, shape, sersic):
    ny, nx = shape
    x_ref, y_ref, scale = (nx - 1) / 2, (ny - 1) / 2, max(shape) / 2
    u, v = (sersic.x_0 - x_ref) / scale, (sersic.y_0 - y_ref) / scale
    level = terms[0] + terms[1] * u + terms[2] * v
    return SkyModel(terms, 1, x_ref, y_ref, scale, level=level)


def sky_image(model, shape):
    """The plane of a `SkyModel` of order 1."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    c_0, c_u, c_v = model.coefficients
    return c_0 + c_u * (x - model.x_ref) / model.scale + c_v * (y - model.y_ref) / model.scale


def noise(rng, shape, kind, fwhm):
    """Noise of unit variance per pixel."""
    if kind == "none":
        return np.zeros(shape)
    white = rng.normal(size=shape)
    if kind == "white":
        return white
    sigma = fwhm / np.sqrt(8 * np.log(2))
    response = np.zeros((65, 65))
    response[32, 32] = 1
    response = ndimage.gaussian_filter(response, sigma, mode="wrap")
    return ndimage.gaussian_filter(white, sigma, mode="wrap") / np.sqrt(np.sum(response**2))


def edge(shape):
    """True beyond a slanted edge that takes about a tenth of the frame, on the right."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return x > 0.84 * (shape[1] - 1) + 0.12 * y * (shape[1] - 1) / (shape[0] - 1)
