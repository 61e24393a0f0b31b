"""The scene: galaxies, stars and sky that share the pixels of several images.

    image[band] = sum_g F[band, g] S_g(shape_g; PSF) + sum_i f[band, i] P(x - x_i)
                  + sum_k c[band, k] B_k(x, y)

Every flux F, f and sky coefficient c is linear. Non-linear are, per galaxy,
x_0, y_0, ln r_eff, e1, e2 and ln n; per star x and y; and per band the
registration: where the scene lands in that band, minus where its affine map
says. Which of them are free is a `Freedom`, so that the one-band fit, the fit with
the shape pinned, forced photometry and the joint fit are the same code.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from galstep.core.background import sky_basis
from galstep.core.render import GalaxyRenderer
from galstep.core.stars import StarRenderer

__all__ = ["Freedom", "SceneBand", "SceneState", "make_band"]

N_SHAPE = 6
# A galaxy's core, in r_eff, and its largest radius in pixels.
CORE_IN_R_EFF = 1.5
MAX_CORE = 30.0


@dataclass(frozen=True, eq=False)
class SceneBand:
    """One image as the engine sees it.

    Parameters
    ----------
    name : str
        The filter.
    data : (ny, nx) array
        The image; 0 where masked (never NaN).
    mask : (ny, nx) bool array
        True = bad.
    weight : (ny, nx) array
        1 / sigma^2 of each pixel, 0 where masked. The fit re-estimates it
        where no error plane is known.
    galaxy_renderer, star_renderer : `GalaxyRenderer`, `StarRenderer`
        Both made from the same effective PSF.
    basis : (n_sky, ny, nx) array
        The sky terms (`galstep.core.background.sky_basis`).
    matrix : (2, 2) array
    origin : (2,) array
        The affine map: (x, y)_band = matrix @ ((x, y)_scene + shift) + origin.
    error_known : bool
        Whether ``weight`` came from an error plane and is to be kept.
    noise_scale : float
        How much the matched-filter map scatters more than ``weight`` says
        (unresolved stars, correlated noise); at least 1.
    """

    name: str
    data: np.ndarray
    mask: np.ndarray
    weight: np.ndarray
    galaxy_renderer: GalaxyRenderer
    star_renderer: StarRenderer
    basis: np.ndarray
    matrix: np.ndarray = field(default_factory=lambda: np.eye(2))
    origin: np.ndarray = field(default_factory=lambda: np.zeros(2))
    error_known: bool = False
    noise_scale: float = 1.0

    @property
    def shape(self):
        """(ny, nx)."""
        return self.data.shape

    @cached_property
    def sigma(self):
        """Median 1-sigma noise of the good pixels (image units)."""
        good = self.weight > 0
        return float(1.0 / np.sqrt(np.median(self.weight[good]))) if good.any() else np.inf

    @property
    def on_scene_grid(self):
        """Whether the band's pixels are the scene's, up to a translation."""
        return np.array_equal(self.matrix, np.eye(2))

    def to_pixels(self, x, y, shift):
        """Scene positions (plus ``shift``) in the pixels of this band."""
        x, y = np.asarray(x) + shift[0], np.asarray(y) + shift[1]
        (a, b), (c, d) = self.matrix
        return a * x + b * y + self.origin[0], c * x + d * y + self.origin[1]

    def galaxy_vector(self, shape, shift):
        """A shape vector with its centre in the pixels of this band."""
        vector = np.array(shape, dtype=float)
        vector[:2] = self.to_pixels(shape[0], shape[1], shift)
        return vector


def make_band(
    name, data, mask, psf, sigma, *, sky_order=1, matrix=None, origin=None, error_known=None
):
    """A `SceneBand` from plain arrays.

    Parameters
    ----------
    name : str
        The filter.
    data : (ny, nx) array
        The image; NaN allowed where ``mask`` is True.
    mask : (ny, nx) bool array
        True = bad.
    psf : `galstep.core.psf.EffectivePSF`
        The effective PSF on this band's pixels.
    sigma : float or (ny, nx) array
        1-sigma noise. An array is taken as an error plane and kept; a number
        is a first guess that the fit replaces.
    sky_order : int, optional
        Degree of the sky polynomial.
    matrix, origin : arrays, optional
        The affine map from the scene to this band; identity by default.
    error_known : bool, optional
        Overrides whether ``sigma`` is kept.

    Returns
    -------
    SceneBand
    """
    mask = np.asarray(mask, dtype=bool)
    known = np.ndim(sigma) == 2 if error_known is None else error_known
    sigma = np.broadcast_to(np.asarray(sigma, dtype=float), mask.shape)
    weight = np.zeros(mask.shape)
    weight[~mask] = 1.0 / sigma[~mask] ** 2
    return SceneBand(
        name=name,
        data=np.where(mask, 0.0, data),
        mask=mask,
        weight=weight,
        galaxy_renderer=GalaxyRenderer(mask.shape, psf),
        star_renderer=StarRenderer(psf),
        basis=sky_basis(mask.shape, sky_order),
        matrix=np.eye(2) if matrix is None else np.asarray(matrix, dtype=float),
        origin=np.zeros(2) if origin is None else np.asarray(origin, dtype=float),
        error_known=known,
    )


def _resized(coefficients, size):
    resized = np.zeros(size)
    known = np.asarray(coefficients, dtype=float)[:size]
    resized[: len(known)] = known
    return resized


@dataclass(frozen=True, eq=False)
class SceneState:
    """All parameters of a scene; ``nb`` bands, ``ng`` galaxies, ``ns`` stars.

    Parameters
    ----------
    shapes : (ng, 6) array
        Galaxy shape vectors (`galstep.records.SersicParams.to_vector`).
    galaxy_flux : (nb, ng) array
        Total fluxes.
    sky : tuple of nb arrays
        Sky coefficients per band.
    x, y : (ns,) arrays
        Star positions in the scene's frame.
    x_prior, y_prior : (ns,) arrays
        Where the stars were detected: centre of the position prior.
    star_flux : (nb, ns) array
        Star fluxes; may be negative.
    shift : (nb, 2) array
        Registration of each band.
    star_id : (ns,) int array
        Identity of each star; -1 until it is given one.
    """

    shapes: np.ndarray
    galaxy_flux: np.ndarray
    sky: tuple
    x: np.ndarray
    y: np.ndarray
    x_prior: np.ndarray
    y_prior: np.ndarray
    star_flux: np.ndarray
    shift: np.ndarray
    star_id: np.ndarray

    @classmethod
    def start(cls, bands, shapes, galaxy_flux=None, sky=None, shift=None):
        """A state without stars; missing linear parameters start at zero.

        Sky coefficients of another order are cut or filled with zeros: the
        terms of a lower order come first.
        """
        n_bands = len(bands)
        shapes = np.atleast_2d(np.asarray(shapes, dtype=float)).reshape(-1, N_SHAPE)
        none = np.zeros(0)
        return cls(
            shapes=shapes,
            galaxy_flux=np.zeros((n_bands, len(shapes)))
            if galaxy_flux is None
            else np.array(galaxy_flux, dtype=float).reshape(n_bands, len(shapes)),
            sky=tuple(np.zeros(len(band.basis)) for band in bands)
            if sky is None
            else tuple(_resized(c, len(band.basis)) for c, band in zip(sky, bands, strict=True)),
            x=none,
            y=none,
            x_prior=none,
            y_prior=none,
            star_flux=np.zeros((n_bands, 0)),
            shift=np.zeros((n_bands, 2)) if shift is None else np.array(shift, dtype=float),
            star_id=np.zeros(0, dtype=int),
        )

    @property
    def n_stars(self):
        """Number of stars."""
        return len(self.x)

    def core(self, shape):
        """Pixels so close to a galaxy that what a profile leaves is not noise.

        ``shape`` is (ny, nx); the result is a bool array in the scene's frame.
        """
        yy, xx = np.indices(shape)
        core = np.zeros(shape, dtype=bool)
        for vector in self.shapes:
            radius = min(CORE_IN_R_EFF * np.exp(vector[2]), MAX_CORE)
            core |= np.hypot(xx - vector[0], yy - vector[1]) < radius
        return core

    def with_stars(self, x, y, star_flux, star_id=None):
        """The state with these stars appended, detected where they are."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        star_id = np.full(len(x), -1) if star_id is None else np.asarray(star_id, dtype=int)
        return replace(
            self,
            x=np.concatenate([self.x, x]),
            y=np.concatenate([self.y, y]),
            x_prior=np.concatenate([self.x_prior, x]),
            y_prior=np.concatenate([self.y_prior, y]),
            star_flux=np.concatenate([self.star_flux, star_flux], axis=1),
            star_id=np.concatenate([self.star_id, star_id]),
        )

    def select_stars(self, keep):
        """The state with only the stars where ``keep`` is True."""
        return replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            x_prior=self.x_prior[keep],
            y_prior=self.y_prior[keep],
            star_flux=self.star_flux[:, keep],
            star_id=self.star_id[keep],
        )

    def numbered(self, first=1):
        """The state with an identity from ``first`` upwards for every new star."""
        star_id = self.star_id.copy()
        new = np.flatnonzero(star_id < 0)
        star_id[new] = np.arange(first, first + len(new))
        return replace(self, star_id=star_id)


@dataclass(frozen=True)
class Freedom:
    """Which non-linear parameters a fit may change, and their priors.

    Fluxes and sky are always free. Priors are Gaussian, in scene pixels.

    Parameters
    ----------
    shape : tuple of 6 bool
        Which of x_0, y_0, ln r_eff, e1, e2, ln n.
    positions : bool
        Whether stars move; their prior has width ``position_prior`` (a number,
        or one per star) about where they were detected, which keeps blends from
        sliding away.
    registration : tuple of int
        Indices of the bands whose registration is measured, with a prior of
        width ``registration_prior`` about zero. The band that defines the
        scene's frame must not be among them while positions are free.
    """

    shape: tuple = (True,) * N_SHAPE
    positions: bool = True
    registration: tuple = ()
    position_prior: float = 0.7
    registration_prior: float = 1.0
