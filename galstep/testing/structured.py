"""Galaxies that no Sersic profile describes, among stars, with their truth.

    synthetic = make_structured("spiral", seed=1, snr=300, n_stars=100)
    synthetic.data["F150W"], synthetic.err["F150W"]      # what is measured
    synthetic.galaxy["F150W"], synthetic.truth.fluxes    # the target's light
    synthetic.components["knots"]["F150W"]               # of which

`galstep.testing.galaxies.KINDS` has the kinds. Nothing is shared with the
renderer that is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from galstep.exceptions import ParameterError
from galstep.filters import filter_wavelength
from galstep.records import SersicParams, SkyModel
from galstep.testing import _draw, _files
from galstep.testing.ellipse import Ellipse, ellipse_of
from galstep.testing.galaxies import Galaxy, draw_galaxy
from galstep.testing.grids import PixelGrid
from galstep.testing.parts import SersicPart
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import star_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from galstep.hints import PathLike

__all__ = ["StructuredGalaxy", "StructuredTruth", "make_bulge_disk", "make_structured", "observe"]

# level of the sky and the noise it makes (MJy/sr), as in the frames of a nearby galaxy's halo
_SKY = {"F555W": 0.22, "F814W": 0.33, "F090W": 0.39, "F150W": 0.43, "F160W": 0.09, "F277W": 0.20}
_NOISE = {
    "F555W": 0.004,
    "F814W": 0.010,
    "F090W": 0.012,
    "F150W": 0.014,
    "F160W": 0.008,
    "F277W": 0.007,
}
_FILTERS = tuple(_NOISE)


@dataclass(frozen=True)
class StructuredTruth:
    """What a structured galaxy was made from; pixels of the frame, MJy/sr.

    ``fluxes`` is the target's total by filter, to infinity; ``ellipse`` and
    ``r_half`` describe its light in the filter ``base`` as it is seen, through
    the PSF (`galstep.testing.ellipse.ellipse_of`). ``stars`` has the columns
    ``star_id``, ``x``, ``y``, ``flux_<filter>`` and ``snr_<filter>``, the
    matched-filter S/N in the noise of sky and galaxies at that place.
    ``noise_sigma`` is the noise of a pixel of sky. ``psfs`` made the image;
    ``library`` is what a fit is given.
    """

    filters: tuple
    base: str
    shape: tuple
    galaxy: Galaxy
    ellipse: Ellipse
    r_half: float
    stars: Table
    sky: dict
    noise_sigma: dict
    psfs: dict
    library: dict
    psf_blur: dict
    noise: str
    seed: int
    oversample: int = 4
    psf_size: int = 161
    pixel_scale: float = 0.03
    unit: str = "MJy/sr"

    @property
    def kind(self) -> str:
        """The kind of galaxy."""
        return self.galaxy.kind

    @property
    def fluxes(self) -> dict:
        """Total flux of the target by filter."""
        return self.galaxy.fluxes

    @property
    def knots(self) -> np.ndarray:
        """Places of the target's knots, shape (N, 2)."""
        places = [np.c_[part.x, part.y] for part in self.galaxy.parts if part.name == "knots"]
        return np.vstack([np.zeros((0, 2)), *places])

    def grid(self, name: str) -> PixelGrid:
        """The `PixelGrid` of a filter: the scene's."""
        return PixelGrid(self.shape, self.pixel_scale)


@dataclass(frozen=True)
class StructuredGalaxy:
    """A synthetic observation of a structured galaxy, and the truth behind it.

    ``galaxy`` is the light of the target, ``companions`` that of all other
    galaxies, ``components`` that of each part of the target by its name.
    ``galaxy``, ``companions``, ``stars`` and ``sky`` are noise-free and sum, with
    noise, to ``data``; all are dicts of (ny, nx) float64 arrays by filter.
    """

    data: dict
    err: dict
    galaxy: dict
    companions: dict
    components: dict
    stars: dict
    sky: dict
    truth: StructuredTruth
    psf_arrays: dict = field(repr=False)

    def wcs(self) -> dict:
        """A WCS by filter: none, all filters have the scene's pixels."""
        return {}

    def write_hdf5(self, path: PathLike, errors: bool = True) -> Path:
        """Write images and, with ``errors``, the group ``error`` in the input layout (float32)."""
        return _files.write_images(path, self.data, self.err if errors else {}, {})

    def write_psf(self, path: PathLike) -> Path:
        """Write the library PSFs and the root attribute ``oversample`` (float32)."""
        return _files.write_psfs(path, self.psf_arrays, self.truth.oversample)

    def write_truth(self, path: PathLike) -> Path:
        """Write the target's truth as ECSV: by filter, totals and the light in ellipses."""
        return _files.write_table(path, _files.structured_table(self))

    def write_stars(self, path: PathLike) -> Path:
        """Write the true star list as ECSV, one row per star."""
        return _files.write_table(path, _files.star_table(self.truth))


def make_structured(
    kind: str = "spiral",
    seed: int = 0,
    shape: tuple[int, int] = (255, 255),
    n_stars: int = 100,
    filters: Sequence[str] = _FILTERS,
    snr: float = 300.0,
    *,
    r_eff: float | None = None,
    noise: str = "white",
    nan_edge: bool | Sequence[str] = False,
    psf_blur: float | dict = 0.0,
    psfs: dict | None = None,
) -> StructuredGalaxy:
    """A galaxy of a kind among stars, in any number of filters.

    Parameters
    ----------
    kind : str, optional
        One of `galstep.testing.galaxies.KINDS`.
    seed : int, optional
        Seed of everything that is drawn: geometry, colours, stars, sky, noise.
    shape : (int, int), optional
        (ny, nx) of every image.
    n_stars : int, optional
        Number of stars; their fluxes and colours are drawn (`observe`).
    filters : sequence of str, optional
        Names that say a wavelength.
    snr : float, optional
        Signal to noise of the target in the base filter, F150W or else the
        middle one: that of a fit where all but the flux is known, in the noise
        of the sky and the target. The other filters follow from its colours.
    r_eff : float, optional
        Of the disk, semi-major (pixels); by default 1/28 to 1/12 of the frame.
    noise, nan_edge, psf_blur, psfs : optional
        As in `make_scene`.

    Returns
    -------
    StructuredGalaxy

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    filters = tuple(filters)
    unnamed = [name for name in filters if filter_wavelength(name) is None]
    if unnamed:
        raise ParameterError(f"filters must have names that say a wavelength, got {unnamed[0]}")
    base = _base(filters)
    rng = np.random.default_rng([seed, 0])
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    centre = tuple((middle + rng.uniform(-1, 1, 2) * min(shape) / 60).tolist())
    drawn = min(shape) / 28 * (28 / 12) ** rng.uniform()
    galaxy = draw_galaxy(kind, rng, filters, base, centre, drawn if r_eff is None else r_eff)
    return observe(
        galaxy, seed, shape, n_stars, snr=snr, noise=noise, nan_edge=nan_edge,
        psf_blur=psf_blur, psfs=psfs,
    )  # fmt: skip


def make_bulge_disk(
    bulge_share: float = 0.2,
    seed: int = 4,
    *,
    snr: float = 700.0,
    bulge: tuple[float, float] = (2.0, 2.5),
    disk: float = 10.0,
    shape: tuple[int, int] = (151, 151),
    filters: Sequence[str] = ("F150W",),
    n_stars: int = 0,
    psfs: dict | None = None,
) -> StructuredGalaxy:
    """An isolated bulge and disk, by default without a star: all its light is galaxy light.

    Parameters
    ----------
    bulge_share : float, optional
        Share of the light in the bulge, 0 to 1, the same in every filter.
    seed : int, optional
        Seed of sky and noise.
    snr : float, optional
        Signal to noise in the base filter.
    bulge : (float, float), optional
        r_eff (pixels) and Sersic index of the bulge.
    disk : float, optional
        r_eff of the exponential disk (pixels).
    shape, filters, n_stars, psfs : optional
        As in `make_structured`.

    Returns
    -------
    StructuredGalaxy

    Raises
    ------
    ParameterError
        If ``bulge_share`` is not a share.
    """
    if not 0 <= bulge_share <= 1:
        raise ParameterError(f"bulge_share must be 0 to 1, got {bulge_share}")
    x_0, y_0 = (shape[1] - 1) / 2 + 0.2, (shape[0] - 1) / 2 - 0.1
    shapes = {
        "bulge": (bulge_share, SersicParams(x_0, y_0, *bulge, 0.15, 0.5)),
        "disk": (1 - bulge_share, SersicParams(x_0, y_0, disk, 1.0, 0.4, 0.5)),
    }
    parts = tuple(
        SersicPart(name, dict.fromkeys(filters, share), params)
        for name, (share, params) in shapes.items()
        if share > 0
    )
    galaxy = Galaxy("bulge_disk", parts)
    return observe(galaxy, seed, shape, n_stars, snr=snr, psfs=psfs)


def observe(
    galaxy: Galaxy,
    seed: int,
    shape: tuple[int, int],
    n_stars: int,
    *,
    snr: float,
    noise: str = "white",
    nan_edge: bool | Sequence[str] = False,
    psf_blur: float | dict = 0.0,
    psfs: dict | None = None,
) -> StructuredGalaxy:
    """A frame with a galaxy, companions, stars, a sky plane and photon noise.

    The variance of a pixel is that of the sky times its noise-free light over the
    sky's. Stars: N(> flux) ~ flux^-0.9 between S/N 3 and 500 in the base filter,
    one in seven crowds towards the galaxy, with colours of black bodies (two of
    three red giants of 3500 to 5200 K, the others 7000 to 20000 K).

    Parameters
    ----------
    galaxy : Galaxy
        Its fluxes are scaled to ``snr``.
    seed, shape, n_stars, snr, noise, nan_edge, psf_blur, psfs
        As in `make_structured`.

    Returns
    -------
    StructuredGalaxy
    """
    filters, shape = tuple(galaxy.fluxes), (shape[0], shape[1])
    _draw.check(filters, shape, n_stars, noise, "plane")
    if not snr > 0:
        raise ParameterError(f"snr must be positive, got {snr}")
    base, blur = _base(filters), _draw.by_filter(psf_blur, filters, "psf_blur", 0.0)
    library = _draw.by_filter(psfs, filters, "psfs", None)
    library = {name: library[name] or default_psf(name) for name in filters}
    true_psfs = {name: library[name].blurred(blur[name]) for name in filters}

    light = _Light(galaxy, shape, true_psfs)
    sky = _sky(np.random.default_rng([seed, 1]), filters, shape, light.parts[0][base])
    sigma = {name: _NOISE.get(name, 0.01) for name in filters}
    ground = {name: _draw.sky_image(model, shape) for name, model in sky.items()}
    factor = _scale(light.target[base], ground[base], sky[base], sigma[base], snr)
    galaxy, light = galaxy.scaled(factor), light.scaled(factor)
    ellipse, r_half = ellipse_of(light.target[base], galaxy.fluxes[base])

    noises = {
        name: _sigma(light.galaxies(name) + ground[name], sky[name], sigma[name])
        for name in filters
    }
    rng = np.random.default_rng([seed, 2])
    stars = _stars(rng, n_stars, shape, ellipse, r_half, true_psfs, noises, sigma, base)
    truth = StructuredTruth(
        filters, base, shape, galaxy, ellipse, r_half, stars, sky, sigma, true_psfs, library,
        blur, noise, seed,
    )  # fmt: skip
    return _observed(truth, light, ground, nan_edge)


def _base(filters):
    return "F150W" if "F150W" in filters else filters[len(filters) // 2]


class _Light:
    """Images of a galaxy's parts and companions, each a dict by filter."""

    def __init__(self, galaxy, shape, psfs):
        self.names = [part.name for part in galaxy.parts]
        self.parts = [part.images(shape, psfs) for part in galaxy.parts]
        self.others = [part.images(shape, psfs) for part in galaxy.companions]
        self.shape = shape

    @property
    def target(self):
        return {name: sum(part[name] for part in self.parts) for name in self.parts[0]}

    def companions(self, name):
        return sum((part[name] for part in self.others), np.zeros(self.shape))

    def galaxies(self, name):
        return self.target[name] + self.companions(name)

    def scaled(self, factor):
        result = object.__new__(_Light)
        result.names, result.shape = self.names, self.shape
        for group in ("parts", "others"):
            images = [
                {name: factor * image for name, image in part.items()}
                for part in getattr(self, group)
            ]
            setattr(result, group, images)
        return result


def _sky(rng, filters, shape, image):
    """A tilted plane by filter, its level at the brightest pixel of the galaxy's image."""
    y, x = np.unravel_index(np.argmax(image), shape)
    x_ref, y_ref, scale = (shape[1] - 1) / 2, (shape[0] - 1) / 2, (max(shape) - 1) / 2
    models = {}
    for name in filters:
        c_0 = _SKY.get(name, 0.3) * rng.uniform(0.8, 1.6)
        tilt, angle = c_0 * rng.uniform(0, 0.08), rng.uniform(0, 2 * np.pi)
        terms = (float(c_0), float(tilt * np.cos(angle)), float(tilt * np.sin(angle)))
        level = c_0 + (terms[1] * (x - x_ref) + terms[2] * (y - y_ref)) / scale
        models[name] = SkyModel(terms, 1, x_ref, y_ref, scale, level=float(level))
    return models


def _sigma(model, sky, sigma):
    """Noise by pixel: that of the sky where the light is the sky's, photons elsewhere."""
    level = sky.coefficients[0]
    return sigma * np.sqrt(np.maximum(model, 0.2 * level) / level)


def _scale(image, ground, sky, sigma, snr):
    """The factor on the target's light that gives it the S/N, its own photons counted.

    The S/N grows with the factor, so bisection on its logarithm finds it.
    """
    low, high = -10.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        light = np.exp(middle) * image
        reached = np.sqrt(np.sum((light / _sigma(light + ground, sky, sigma)) ** 2))
        low, high = (middle, high) if reached < snr else (low, middle)
    return float(np.exp(middle))


def _stars(rng, number, shape, ellipse, r_half, psfs, noises, sigma, base):
    faintest = sigma[base] * np.sqrt(psfs[base].noise_area)
    share = rng.uniform(size=number)
    flux = faintest * (3**-0.9 + share * (500**-0.9 - 3**-0.9)) ** (-1 / 0.9)
    x, y = rng.uniform(-2, shape[1] + 1, number), rng.uniform(-2, shape[0] + 1, number)
    near, r, phi = (
        rng.uniform(size=number) < 0.15,
        r_half * rng.gamma(2, 1, number),
        rng.uniform(0, 2 * np.pi, number),
    )
    x_near, y_near = ellipse.place(r, phi)
    x, y = np.where(near, x_near, x), np.where(near, y_near, y)
    giant = rng.uniform(size=number) < 0.7
    temperature = np.where(
        giant, rng.uniform(3500, 5200, number), 10 ** rng.uniform(3.85, 4.3, number)
    )
    table = Table({"star_id": np.arange(1, number + 1), "x": x, "y": y})
    for name, psf in psfs.items():
        scatter = rng.normal(0, 0.05, number) * (name != base)
        ratio = _planck(name, temperature) / _planck(base, temperature)
        table[f"flux_{name}"] = flux * ratio * 10 ** (-0.4 * scatter)
        column = np.clip(np.round(x).astype(int), 0, shape[1] - 1)
        row = np.clip(np.round(y).astype(int), 0, shape[0] - 1)
        error = noises[name][row, column] * np.sqrt(psf.noise_area)
        table[f"snr_{name}"] = table[f"flux_{name}"] / error
    return table


def _planck(name, temperature):
    """f_nu of a black body up to a factor; h c / k = 14388 micron K."""
    wavelength = filter_wavelength(name)
    return wavelength**-3 / np.expm1(14387.77 / (wavelength * temperature))


def _observed(truth, light, ground, nan_edge):
    target = light.target
    companions = {name: light.companions(name) for name in truth.filters}
    stars, data, err, table = {}, {}, {}, truth.stars
    for index, name in enumerate(truth.filters):
        flux = table[f"flux_{name}"]
        stars[name] = star_image(truth.shape, truth.psfs[name], table["x"], table["y"], flux)
        model = target[name] + companions[name] + stars[name] + ground[name]
        err[name] = _sigma(model, truth.sky[name], truth.noise_sigma[name])
        rng = np.random.default_rng([truth.seed, 3, index])
        data[name] = model + err[name] * _draw.noise(rng, truth.shape, truth.noise, 2.0)
        if nan_edge is True or (nan_edge and name in nan_edge):
            lost = _draw.edge(truth.shape)
            data[name][lost] = err[name][lost] = np.nan
    components = {name: images for name, images in zip(light.names, light.parts, strict=True)}
    arrays = {
        name: psf.sampled(truth.oversample, truth.psf_size) for name, psf in truth.library.items()
    }
    return StructuredGalaxy(data, err, target, companions, components, stars, ground, truth, arrays)
