"""Synthetic galaxies in star fields, with their truth.

    synthetic = make_scene(seed=1, n_stars=30, filters=("F150W", "F277W"))
    synthetic.data["F150W"], synthetic.err["F150W"]      # what is measured
    synthetic.truth.sersic, synthetic.truth.fluxes       # what should come out

`make_scene` draws what it is not given, from ``seed`` alone: the same call
gives the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from galstep.pixel_map import PixelMap
from galstep.records import SersicParams
from galstep.testing import _draw, _files
from galstep.testing.grids import PixelGrid
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import SersicImage, star_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from astropy.wcs import WCS

    from galstep.hints import PathLike

__all__ = ["SyntheticGalaxy", "TruthScene", "make_scene"]


@dataclass(frozen=True)
class TruthScene:
    """What a synthetic galaxy was made from; pixels of the frame, MJy/sr.

    ``stars`` has the columns ``star_id``, ``x``, ``y`` (of the scene's frame,
    without ``offsets``), ``flux_<filter>`` and ``snr_<filter>``, the
    matched-filter S/N in the frame's pixel noise. ``noise_sigma`` is the noise
    of one pixel. ``offsets`` says by how much everything in a filter is moved,
    (dx, dy). ``psfs`` made the image; ``library`` is what a fit is given.
    ``grids`` has the filters whose pixels are not the scene's: their fluxes,
    PSFs and noise are those of their own pixels, positions stay in the scene's.
    """

    filters: tuple
    shape: tuple
    sersic: SersicParams
    fluxes: dict
    stars: Table
    sky: dict
    noise_sigma: dict
    offsets: dict
    psfs: dict
    library: dict
    psf_blur: dict
    oversample: int
    psf_size: int
    noise: str
    seed: int
    grids: dict = field(default_factory=dict)
    pixel_scale: float = 0.03
    unit: str = "MJy/sr"

    @property
    def scene_grid(self) -> PixelGrid:
        """The `PixelGrid` of the scene."""
        return PixelGrid(self.shape, self.pixel_scale)

    def grid(self, name: str) -> PixelGrid:
        """The `PixelGrid` of a filter."""
        return self.grids.get(name, self.scene_grid)

    def place(self, name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the scene in the pixels of a filter, its offset included."""
        dx, dy = self.offsets[name]
        x, y = np.asarray(x) + dx, np.asarray(y) + dy
        return self.grids[name].place(self.scene_grid, x, y) if name in self.grids else (x, y)

    def pixel_map(self, name: str) -> PixelMap:
        """From the pixels of the scene to those of a filter, `galstep.pixel_map.PixelMap`."""
        return self.grid(name).map_from(self.scene_grid) if name in self.grids else PixelMap()

    def galaxy(self, name: str) -> SersicParams:
        """The galaxy in the pixels of a filter, `galstep.records.SersicParams`."""
        moved = self.sersic.moved(*self.offsets[name])
        return self.grids[name].galaxy(self.scene_grid, moved) if name in self.grids else moved

    def pixel_area_sr(self, name: str | None = None) -> float:
        """Solid angle of one pixel of a filter, or of the scene (sr)."""
        grid = self.scene_grid if name is None else self.grid(name)
        return float(np.radians(grid.pixel_scale / 3600) ** 2)

    def mag_ab(self, name: str) -> float:
        """AB magnitude of the galaxy's total flux in a filter."""
        return float(-2.5 * np.log10(self.fluxes[name] * self.pixel_area_sr(name)) - 6.10)


@dataclass(frozen=True)
class SyntheticGalaxy:
    """A synthetic observation: images, their errors, and the truth behind them.

    ``galaxy``, ``stars`` and ``sky`` are the noise-free components whose sum,
    with noise, is ``data``; all are dicts of (ny, nx) float64 arrays by filter.
    """

    data: dict
    err: dict
    galaxy: dict
    stars: dict
    sky: dict
    truth: TruthScene
    psf_arrays: dict = field(repr=False)

    def write_hdf5(self, path: PathLike) -> Path:
        """Write images and the group ``error`` in the input layout (float32)."""
        return _files.write_images(path, self.data, self.err, self.wcs())

    def wcs(self) -> WCS:
        """A WCS by filter; empty if all filters have the scene's pixels."""
        truth = self.truth
        return {name: truth.grid(name).wcs() for name in truth.filters} if truth.grids else {}

    def write_psf(self, path: PathLike) -> Path:
        """Write the library PSFs and the root attribute ``oversample`` (float32)."""
        return _files.write_psfs(path, self.psf_arrays, self.truth.oversample)

    def write_truth(self, path: PathLike) -> Path:
        """Write the truth of the galaxy as ECSV, one row per filter."""
        return _files.write_table(path, _files.galaxy_table(self.truth))

    def write_stars(self, path: PathLike) -> Path:
        """Write the true star list as ECSV, one row per star."""
        return _files.write_table(path, _files.star_table(self.truth))


def make_scene(
    seed: int = 0,
    shape: tuple[int, int] = (121, 121),
    n_stars: int = 40,
    filters: Sequence[str] = ("F090W", "F150W", "F277W"),
    snr: float | dict = 100.0,
    *,
    sersic: SersicParams | None = None,
    fluxes: dict | None = None,
    stars: Table | None = None,
    star_snr: tuple[float, float] = (8.0, 300.0),
    star_separation: float = 0.0,
    sky: str | dict = "plane",
    noise: str = "white",
    noise_fwhm: float = 2.0,
    nan_edge: bool | Sequence[str] = False,
    psf_blur: float | dict = 0.0,
    psfs: dict | None = None,
    offsets: dict | None = None,
    grids: dict | None = None,
    oversample: int = 4,
    psf_size: int = 161,
) -> SyntheticGalaxy:
    """A synthetic galaxy among stars, in any number of filters.

    Parameters
    ----------
    seed : int, optional
        Seed of everything that is drawn.
    shape : (int, int), optional
        (ny, nx) of every image.
    n_stars : int, optional
        Number of stars to draw.
    filters : sequence of str, optional
        Names; those of `galstep.testing.psfs.DEFAULT_FWHM` get that PSF width.
    snr : float or dict, optional
        Signal to noise of the galaxy in each filter: flux x
        sqrt(sum(image^2)) / sigma for its image of unit flux, the S/N of a
        fit in white noise where all but the flux is known. Sets the noise.
    sersic : SersicParams, optional
        The galaxy; drawn near the centre of the frame by default.
    fluxes : dict, optional
        Total flux by filter (MJy/sr x pixel).
    stars : Table, optional
        Columns ``x``, ``y`` and ``flux_<filter>``, instead of drawn stars.
    star_snr : (float, float), optional
        Range of the stars' S/N in the reference filter (F150W, else the
        middle one); a power law with slope -1.5 in the flux.
    star_separation : float, optional
        Least distance between two drawn stars, and from the galaxy's centre
        (pixels).
    sky : {"plane", "none"} or dict, optional
        A drawn plane, no sky, or coefficients (c0, c_u, c_v) by filter.
    noise : {"white", "correlated", "none"}, optional
        ``"correlated"``: white noise smoothed with a Gaussian of
        ``noise_fwhm`` and scaled back to the same sigma per pixel.
    noise_fwhm : float, optional
        FWHM of that smoothing (pixels).
    nan_edge : bool or sequence of str, optional
        A slanted edge without data on the right, in all or in these filters.
    psf_blur : float or dict, optional
        Sigma (native pixels) of the Gaussian by which the true PSF is wider
        than the library PSF.
    psfs : dict, optional
        Library PSF by filter (`GaussianMixturePSF`).
    offsets : dict, optional
        (dx, dy) by filter, pixels of the scene.
    grids : dict, optional
        `galstep.testing.grids.PixelGrid` of the filters that have other pixels
        than the scene. What is in pixels or in flux is then that of the
        filter's own, but for positions and offsets.
    oversample, psf_size : int, optional
        Sampling and side of the library PSF arrays.

    Returns
    -------
    SyntheticGalaxy

    Raises
    ------
    ParameterError
        If an argument is out of range or lacks a filter.
    """
    filters, (ny, nx) = tuple(filters), shape
    shape = (ny, nx)
    _draw.check(filters, shape, n_stars, noise, sky)
    # one stream per ingredient: more stars do not change the noise
    rng = dict(zip(("galaxy", "stars", "sky", "noise"), _streams(seed), strict=True))
    blur = _draw.by_filter(psf_blur, filters, "psf_blur", 0.0)
    library = _draw.by_filter(psfs, filters, "psfs", None)
    library = {name: library[name] or default_psf(name) for name in filters}
    true_psfs = {name: library[name].blurred(blur[name]) for name in filters}
    offsets = _draw.by_filter(offsets, filters, "offsets", (0.0, 0.0))

    grids = {} if grids is None else _draw.by_filter(grids, filters, "grids", None)
    grids = {name: grid for name, grid in grids.items() if grid is not None}

    sersic = sersic or _draw.sersic(rng["galaxy"], shape)
    fluxes = _draw.fluxes(fluxes, filters)
    unit_images = _unit_galaxies(sersic, shape, true_psfs, offsets, grids)
    sigma = _draw.noise_sigma(unit_images, fluxes, snr)
    area = {name: true_psfs[name].noise_area for name in filters}
    if stars is None:
        stars = _draw.stars(
            rng["stars"], n_stars, shape, sigma, area, star_snr, star_separation, sersic
        )
    stars = _draw.complete_stars(stars, filters, sigma, area)
    frames = {
        name: (grid.shape, grid.galaxy(PixelGrid(shape), sersic)) for name, grid in grids.items()
    }
    sky_models = _draw.sky(rng["sky"], sky, filters, sigma, shape, sersic, frames)

    truth = TruthScene(
        filters, shape, sersic, fluxes, stars, sky_models, sigma, offsets, true_psfs, library,
        blur, oversample, psf_size, noise, seed, grids,
    )  # fmt: skip
    galaxy = {name: fluxes[name] * unit_images[name] for name in filters}
    return _observe(truth, galaxy, rng["noise"], noise_fwhm, nan_edge)


def _streams(seed):
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]


def _unit_galaxies(sersic, shape, psfs, offsets, grids):
    reach = max(psf.reach() for psf in psfs.values())
    reach += max(np.abs(offset).max() for offset in offsets.values())
    images, profile = {}, None
    for name, psf in psfs.items():
        if name in grids:
            own = grids[name].galaxy(PixelGrid(shape), sersic.moved(*offsets[name]))
            images[name] = SersicImage(own, grids[name].shape, psf.reach()).seen_through(psf)
            continue
        profile = profile or SersicImage(sersic, shape, reach)
        images[name] = profile.seen_through(psf, offsets[name])
    return images


def _observe(truth, galaxy, rng, noise_fwhm, nan_edge):
    stars, sky, data, err = {}, {}, {}, {}
    for name in truth.filters:
        shape, table = truth.grid(name).shape, truth.stars
        x, y = truth.place(name, table["x"], table["y"])
        stars[name] = star_image(shape, truth.psfs[name], x, y, table[f"flux_{name}"])
        sky[name] = _draw.sky_image(truth.sky[name], shape)
        sigma = truth.noise_sigma[name]
        noise = _draw.noise(rng, shape, truth.noise, noise_fwhm)
        data[name] = galaxy[name] + stars[name] + sky[name] + sigma * noise
        err[name] = np.full(shape, sigma)
        if nan_edge is True or (nan_edge and name in nan_edge):
            lost = _draw.edge(shape)
            data[name][lost] = err[name][lost] = np.nan
    arrays = {
        name: psf.sampled(truth.oversample, truth.psf_size) for name, psf in truth.library.items()
    }
    return SyntheticGalaxy(data, err, galaxy, stars, sky, truth, arrays)
