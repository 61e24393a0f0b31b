"""The same field measured by photutils, so that both can be compared.

photutils holds the whole image in memory and fits star by star or group by
group; see `photutils.psf.PSFPhotometry` and ``IterativePSFPhotometry``.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from astropy.nddata import NDData
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning

from galstep.core.star_field.detect import apart, field_filter, matched_filter_peaks
from galstep.core.star_field.rows import rows_of_photutils, with_given
from galstep.core.star_field.sky import SkyMesh, clipped_level, measure_mesh
from galstep.core.star_field.tiles import FieldImage, Tile, make_tiles
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from photutils.psf import GriddedPSFModel, ImagePSF

    from galstep.core.star_field.given import GivenStars
    from galstep.core.star_field.photometry import StarFieldOptions
    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.rows import StarRows

__all__ = ["PeerField", "measure_by_photutils", "peer_psf"]


class PeerField:
    """What photutils made of a field: ``rows`` and images of all of it.

    Parameters
    ----------
    rows : `galstep.core.star_field.rows.StarRows`
    image : (ny, nx) array
        The residual.
    stars : (ny, nx) array
    sky : `galstep.core.star_field.sky.SkyMesh`
    """

    def __init__(self, rows: StarRows, image: np.ndarray, stars: np.ndarray, sky: SkyMesh) -> None:
        self.rows, self._residual, self._stars, self._sky = rows, image, stars, sky

    def residual(self, tile: Tile) -> np.ndarray:
        """Data without stars and sky, NaN where bad."""
        return self._residual[tile.part]

    def stars(self, tile: Tile, half_size: int | None = None) -> np.ndarray:
        """The stars alone, as photutils has drawn them: in no other boxes."""
        if half_size is not None:
            raise ParameterError(
                "psf_shape: the engine photutils has drawn its stars already; use engine galstep, "
                "or photutils itself"
            )
        return self._stars[tile.part]

    def sky(self, tile: Tile) -> np.ndarray:
        """The mesh; 0 where each star has a level of its own."""
        return self._sky.image(tile)


def peer_psf(psfs: PsfField, fixed: bool = False) -> GriddedPSFModel | ImagePSF:
    """A `PsfField` as a model of photutils.

    Parameters
    ----------
    psfs : `galstep.core.star_field.psf.PsfField`
    fixed : bool, optional
        Whether positions are held.

    Returns
    -------
    `photutils.psf.GriddedPSFModel` or `photutils.psf.ImagePSF`
    """
    from photutils.psf import GriddedPSFModel, ImagePSF

    arrays = np.array(
        [
            renderer.psf.array * norm * renderer.psf.oversample**2
            for renderer, norm in zip(psfs.renderers, psfs.norms, strict=True)
        ]
    )
    oversample = psfs.mean.oversample
    if len(arrays) == 1:
        model = ImagePSF(arrays[0], oversampling=oversample)
    else:
        positions = [(x, y) for y in psfs.y_grid for x in psfs.x_grid]
        meta = {"grid_xypos": positions, "oversampling": oversample}
        model = GriddedPSFModel(NDData(arrays, meta=meta))
    model.x_0.fixed = model.y_0.fixed = bool(fixed)
    return model


class _MatchedFinder:
    """galstep's matched filter as a finder of photutils."""

    def __init__(self, psfs, image, options):
        self.matched, self.image, self.options = field_filter(psfs), image, options
        self.fwhm = psfs.mean.fwhm

    def __call__(self, data, mask=None):
        frame = Tile(0, 0, data.shape[1], data.shape[0])
        _, good = self.image.read(frame)
        weight = self.image.weight(frame, good, np.zeros(data.shape))
        # with a sky beside each star there is none yet beneath them
        level = clipped_level(data[good])[0] if self.options.background == "local" else 0.0
        residual = np.where(good, data - level, 0.0)
        found, _, _ = matched_filter_peaks(
            self.matched, residual, weight, None, frame, frame, self.options.threshold
        )
        found = apart(found, np.zeros(0), np.zeros(0), self.options.separation * self.fwhm)
        if not len(found):
            return None
        ids = np.arange(1, len(found) + 1)
        return QTable({"id": ids, "x_centroid": found.x, "y_centroid": found.y, "flux": found.flux})


def _finder(psfs, image, options, sigma):
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    if options.finder == "none":
        return None
    if options.finder == "galstep":
        return _MatchedFinder(psfs, image, options)
    finder = DAOStarFinder if options.finder == "dao" else IRAFStarFinder
    return finder(options.threshold * sigma, psfs.mean.fwhm)


def measure_by_photutils(
    image: FieldImage,
    psfs: PsfField,
    options: StarFieldOptions,
    initial: GivenStars | None = None,
    aperture_radius: float = 3.0,
) -> PeerField:
    """Find and measure the stars of a field with photutils.

    Parameters
    ----------
    image : `galstep.core.star_field.tiles.FieldImage`
    psfs : `galstep.core.star_field.psf.PsfField`
    options : `galstep.core.star_field.StarFieldOptions`
    initial : GivenStars, optional
        If the flux of one is not known, all first fluxes are measured in apertures.
    aperture_radius : float, optional
        Pixels; for first fluxes that are not given.

    Returns
    -------
    PeerField
    """
    from photutils.utils.exceptions import NoDetectionsWarning

    image, scale, mesh = _in_units_of_the_noise(image, options)
    whole = Tile(0, 0, image.shape[1], image.shape[0])
    data, good = image.read(whole)
    data = data - mesh.image(whole)
    weight = image.weight(whole, good, np.zeros(image.shape))
    error = np.divide(1.0, np.sqrt(weight), out=np.full(image.shape, np.inf), where=weight > 0)
    phot = _photometry(psfs, image, options, float(np.median(error[good])), aperture_radius)
    own = np.zeros(0, dtype=int)
    if initial is not None:
        own = np.flatnonzero(initial.near(image.shape, _half_size(psfs, options)))
    start = _init_table(initial.select(own), mesh, scale) if len(own) else None
    if start is None and options.finder == "none":
        rows = _no_rows(initial, image.shape)
        return _peer_field(rows, data, np.zeros(image.shape), good, mesh, scale)
    with warnings.catch_warnings():
        # what they say of single stars is in the flags
        warnings.simplefilter("ignore", AstropyUserWarning)
        warnings.simplefilter("ignore", NoDetectionsWarning)
        error = np.where(np.isfinite(error), error, 1.0)
        table = phot(data, mask=~good, error=error, init_params=start)
        stars = np.zeros(image.shape) if table is None else phot.make_model_image(image.shape)
    rows = rows_of_photutils(table, mesh.at)
    if initial is not None:
        number = np.full(len(rows), -1)
        number[: len(own)] = own
        rows = with_given(rows, initial, number, image.shape)
    return _peer_field(_in_image_units(rows, scale), data, stars, good, mesh, scale)


def _peer_field(rows, data, stars, good, mesh, scale):
    """`PeerField` in image units of images in units of the noise."""
    sky = SkyMesh(mesh.levels * scale, mesh.x, mesh.y)
    return PeerField(rows, np.where(good, scale * (data - stars), np.nan), scale * stars, sky)


def _in_units_of_the_noise(image, options):
    """The image, one of its new units and its sky: photutils has limits in absolute units."""
    mesh, scatter = measure_mesh(image.shape, options.box_size, image.read, image.step)
    scale = image.typical_error()
    if image.err is None:
        scale = np.fmax(scatter, image.rounding(make_tiles(image.shape, max(image.shape))))
    scale = float(scale) if scale > 0 else 1.0
    err = None if image.err is None else np.asarray(image.err, dtype=float) / scale
    gain = None if image.gain is None else image.gain * scale
    scaled = FieldImage(np.asarray(image.data, dtype=float) / scale, err, image.mask, 1.0, gain)
    levels = mesh.levels / scale if options.background == "global" else np.zeros((1, 1))
    return scaled, scale, SkyMesh(levels, mesh.x, mesh.y)


def _in_image_units(rows, scale):
    """`StarRows` measured in units of the noise."""
    names = ("local_bkg", "flux_init", "flux_fit", "flux_err")
    return replace(rows, **{name: getattr(rows, name) * scale for name in names})


def _half_size(psfs, options):
    """Half-size of the box of the fit."""
    return psfs.matrix_half_size if options.half_size is None else options.half_size


def _no_rows(initial, shape):
    """The rows of a field without a star that can be fitted."""
    rows = rows_of_photutils(None, lambda x, y: np.zeros(len(x)))
    return rows if initial is None else with_given(rows, initial, np.zeros(0, dtype=int), shape)


def _photometry(psfs, image, options, sigma, aperture_radius):
    from photutils.background import LocalBackground
    from photutils.psf import IterativePSFPhotometry, PSFPhotometry, SourceGrouper

    half = _half_size(psfs, options)
    finder = _finder(psfs, image, options, sigma)
    common = dict(
        xy_bounds=tuple(b if np.isfinite(b) else None for b in options.bounds),
        aperture_radius=aperture_radius,
        local_bkg_estimator=LocalBackground(*options.local_radii)
        if options.background == "local"
        else None,
        grouper=None
        if options.group_separation is None
        else SourceGrouper(options.group_separation),
    )
    model = peer_psf(psfs, fixed=not options.free_positions)
    shape = (2 * half + 1,) * 2
    if finder is None or options.n_passes == 1:
        return PSFPhotometry(model, shape, finder=finder, **common)
    return IterativePSFPhotometry(model, shape, finder, maxiters=options.n_passes, **common)


def _init_table(given, mesh, scale):
    """First values of stars in units of the noise, as photutils names them."""
    table = Table({"x": given.x, "y": given.y})
    if np.isfinite(given.flux).all():
        table["flux"] = given.flux / scale
    if given.group_id is not None:
        table["group_id"] = given.group_id
    if given.local_bkg is not None:
        table["local_bkg"] = given.local_bkg / scale - mesh.at(given.x, given.y)
    return table
