"""The scene: galaxies, stars and sky that share the pixels of several images.

    image[band] = sum_g F[band, g] S_g(shape_g; PSF) + sum_i f[band, i] P(x - x_i)
                  + sum_k c[band, k] B_k(x, y)

Every flux F, f and sky coefficient c is linear. Non-linear are, per galaxy,
x_0, y_0, ln r_eff, e1, e2 and ln n, and how they change with wavelength; per
star x and y; and per band the registration: where the scene lands in that band,
minus where its affine map says. Which of them are free is a `Freedom`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.engine.freedom import N_SHAPE, Freedom
from galstep.core.imaging.background import sky_basis
from galstep.core.imaging.medians import median
from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.imaging.structure_modes import BandStructure
    from galstep.core.psf.effective import EffectivePSF

__all__ = ["N_SHAPE", "Freedom", "SceneBand", "SceneState", "make_band"]

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
        The image less the ``structure``; 0 where masked (never NaN).
    mask : (ny, nx) bool array
        True = bad.
    weight : (ny, nx) array
        1 / sigma^2 of each pixel, 0 where masked. The fit re-estimates it
        where no error plane is known.
    galaxy_renderer, star_renderer : `GalaxyRenderer`, `StarRenderer`
        Both made from the same effective PSF.
    basis : (n_sky, ny, nx) array
        The sky terms (`galstep.core.imaging.background.sky_basis`).
    matrix : (2, 2) array
    origin : (2,) array
        The affine map: (x, y)_band = matrix @ ((x, y)_scene + shift) + origin.
    scene_shape : (ny, nx), optional
        The scene's own frame, on which stars are detected; by default the
        shape of the band.
    error_known : bool
        Whether ``weight`` came from an error plane and is to be kept.
    noise_scale : float
        How much the matched-filter map scatters more than ``weight`` says
        (unresolved stars, correlated noise); at least 1.
    log_wavelength : float
        ln(wavelength / wavelength of the base band), for shapes that change
        with it; 0 in the base band.
    displaced_psfs : tuple of `galstep.core.psf.effective.EffectivePSF`
        The PSF moved by 1 sigma along each independent direction of its error;
        empty if it counts as exact.
    robust : float or (ny, nx) array
        Factor that ``weight`` has on top of 1 / sigma^2: see
        `galstep.core.engine.robust`.
    structure : `galstep.core.imaging.structure_modes.BandStructure`, optional
        Light of the target that no profile has. It has been taken off the data.
    step : float
        Of the numbers that the pixels were rounded to, 0 if they were not
        (`galstep.core.imaging.rounding`).
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
    log_wavelength: float = 0.0
    displaced_psfs: tuple = ()
    robust: float | np.ndarray = 1.0
    scene_shape: tuple = None
    structure: BandStructure | None = None
    step: float = 0.0

    def __post_init__(self):
        if self.scene_shape is None:
            object.__setattr__(self, "scene_shape", self.data.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape

    @property
    def structure_light(self) -> np.ndarray:
        """(ny, nx) image of the ``structure``, zeros without one."""
        return np.zeros(self.shape) if self.structure is None else self.structure.image

    def with_structure(self, structure: BandStructure | None) -> SceneBand:
        """The band with another structure taken off its data."""
        light = self.structure_light
        if structure is not None:
            light = light - structure.image
        return self.with_data(np.where(self.mask, 0.0, self.data + light), structure=structure)

    def with_data(self, data: np.ndarray, **others: Any) -> SceneBand:
        """The band with other data, 0 where masked, and what else is given but weights."""
        band = replace(self, data=data, **others)
        vars(band)["sigma"] = self.sigma  # a median of all pixels: that of the same weights
        return band

    @cached_property
    def sigma(self) -> float:
        """Median 1-sigma noise of the good pixels (image units)."""
        good = self.weight > 0
        return float(1.0 / np.sqrt(median(self.weight[good]))) if good.any() else np.inf

    @property
    def on_scene_grid(self) -> bool:
        """Whether the band's pixels are the scene's, up to a translation."""
        return np.array_equal(self.matrix, np.eye(2))

    @property
    def in_scene_frame(self) -> bool:
        """Whether the band's array is the scene's frame, up to the registration."""
        return self.on_scene_grid and not self.origin.any() and self.shape == self.scene_shape

    @property
    def pixel_map(self) -> PixelMap:
        """The affine map as a `galstep.pixel_map.PixelMap`."""
        return PixelMap(self.matrix, self.origin)

    @property
    def scale(self) -> float:
        """Pixels of the band along a pixel of the scene."""
        return 1.0 if self.on_scene_grid else float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def fwhm_in_scene(self) -> float:
        """FWHM of the PSF in pixels of the scene."""
        return self.star_renderer.psf.fwhm / self.scale

    @property
    def noise_area_in_scene(self) -> float:
        """Noise area of the PSF in pixels of the scene."""
        return self.star_renderer.psf.noise_area / self.scale**2

    def to_pixels(
        self, x: float | np.ndarray, y: float | np.ndarray, shift: Sequence[float] | np.ndarray
    ) -> tuple[Any, Any]:
        """Scene positions (plus ``shift``) in the pixels of this band."""
        x, y = np.asarray(x) + shift[0], np.asarray(y) + shift[1]
        (a, b), (c, d) = self.matrix
        return a * x + b * y + self.origin[0], c * x + d * y + self.origin[1]

    def galaxy_vector(self, shape: np.ndarray, shift: Sequence[float] | np.ndarray) -> np.ndarray:
        """A shape vector with its centre in the pixels of this band."""
        vector = np.array(shape, dtype=float)
        vector[:2] = self.to_pixels(shape[0], shape[1], shift)
        return vector

    def own_vector(self, shape: np.ndarray, shift: Sequence[float] | np.ndarray) -> np.ndarray:
        """A shape vector as it is in the pixels of this band, size and angle too."""
        return self.pixel_map.vector(np.array(shape) + np.array([*shift, 0, 0, 0, 0]))

    def core(self, state: SceneState, shift: Sequence[float] | np.ndarray) -> np.ndarray:
        """`SceneState.core` in the pixels of this band."""
        if self.in_scene_frame:
            return state.core(self.shape)
        yy, xx = np.indices(self.shape)
        x, y = self.pixel_map.inverse().points(xx, yy)
        return state.core_at(x - shift[0], y - shift[1])


def make_band(
    name: str,
    data: np.ndarray,
    mask: np.ndarray,
    psf: EffectivePSF,
    sigma: float | np.ndarray,
    *,
    sky_order: int = 1,
    matrix: tuple | np.ndarray | None = None,
    origin: tuple | np.ndarray | None = None,
    error_known: bool | None = None,
    log_wavelength: float = 0.0,
    displaced_psfs: Sequence[EffectivePSF] = (),
    scene_shape: tuple[int, int] | None = None,
    step: float = 0.0,
) -> SceneBand:
    """A `SceneBand` from plain arrays.

    Parameters
    ----------
    name : str
        The filter.
    data : (ny, nx) array
        The image; NaN allowed where ``mask`` is True.
    mask : (ny, nx) bool array
        True = bad.
    psf : `galstep.core.psf.effective.EffectivePSF`
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
    log_wavelength : float, optional
        ln(wavelength / that of the base band).
    displaced_psfs : sequence of `galstep.core.psf.effective.EffectivePSF`, optional
        See `SceneBand`.
    scene_shape : (ny, nx), optional
        The scene's own frame, by default that of the band.
    step : float, optional
        See `SceneBand`.

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
        log_wavelength=float(log_wavelength),
        displaced_psfs=tuple(displaced_psfs),
        scene_shape=scene_shape,
        step=float(step),
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
        Galaxy shape vectors (`galstep.records.SersicParams.to_vector`) at log
        wavelength 0.
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
    gradients : (n_powers, ng, 6) array
        How the shapes change: coefficients of t, t^2, ... with t the band's
        log wavelength. ``n_powers`` may be 0.
    flux_precision : (ns, nb, nb) array, optional
        Prior on each star's fluxes f: chi2 grows by f' Q f.
    star_probability : (ns,) array
        Of being a star rather than a piece of a galaxy; NaN where nobody looked.
    galaxy_id : (ng,) int array
        Whose profile each is: those of one galaxy share its centre. The first is the
        target's. By default each profile is a galaxy of its own.
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
    gradients: np.ndarray = None
    galaxy_id: np.ndarray = None
    flux_precision: np.ndarray | None = None
    star_probability: np.ndarray = None

    def __post_init__(self):
        if self.gradients is None:
            object.__setattr__(self, "gradients", np.zeros((0, *self.shapes.shape)))
        if self.galaxy_id is None:
            object.__setattr__(self, "galaxy_id", np.arange(len(self.shapes)))
        if self.star_probability is None:
            object.__setattr__(self, "star_probability", np.full(len(self.x), np.nan))

    @classmethod
    def start(
        cls,
        bands: Sequence[SceneBand],
        shapes: Any,
        galaxy_flux: Any = None,
        sky: Any = None,
        shift: Any = None,
        galaxy_id: Any = None,
    ) -> SceneState:
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
            galaxy_id=None if galaxy_id is None else np.asarray(galaxy_id, dtype=int),
        )

    @property
    def leaders(self) -> np.ndarray:
        """(ng,) index of the first profile of each profile's galaxy, whose centre it has."""
        _, first, own = np.unique(self.galaxy_id, return_index=True, return_inverse=True)
        return first[own]

    @property
    def target(self) -> np.ndarray:
        """(ng,) bool: which profiles are the target's, the galaxy of the first one."""
        return self.galaxy_id == self.galaxy_id[0] if len(self.galaxy_id) else np.zeros(0, bool)

    @property
    def n_stars(self) -> int:
        """Number of stars."""
        return len(self.x)

    def shapes_in(self, band: SceneBand) -> np.ndarray:
        """(ng, 6) shape vectors as this band sees them, in the scene's frame."""
        powers = band.log_wavelength ** (1 + np.arange(len(self.gradients)))
        return self.shapes + np.tensordot(powers, self.gradients, axes=1)

    def core(self, shape: tuple[int, int]) -> np.ndarray:
        """Pixels so close to a galaxy that what a profile leaves is not noise.

        ``shape`` is (ny, nx); the result is a bool array in the scene's frame.
        """
        core = np.zeros(shape, dtype=bool)
        for x, y, radius in self._cores():
            box = tuple(slice(max(int(v - radius), 0), max(int(v + radius) + 2, 0)) for v in (y, x))
            yy, xx = np.ogrid[box]
            yy, xx = yy[: core[box].shape[0]], xx[:, : core[box].shape[1]]
            core[box] |= np.hypot(xx - x, yy - y) < radius
        return core

    def _cores(self):
        """Centre and radius of each galaxy's core."""
        for x, y, ln_r_eff in self.shapes[:, :3]:
            yield x, y, min(CORE_IN_R_EFF * np.exp(ln_r_eff), MAX_CORE)

    def core_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether positions in the scene's frame are in a galaxy's core, see `core`."""
        core = np.zeros(np.shape(x), dtype=bool)
        for x_0, y_0, radius in self._cores():
            core |= np.hypot(x - x_0, y - y_0) < radius
        return core

    def with_stars(
        self, x: np.ndarray, y: np.ndarray, star_flux: np.ndarray, star_id: np.ndarray | None = None
    ) -> SceneState:
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
            flux_precision=None,
            star_probability=np.concatenate([self.star_probability, np.full(len(x), np.nan)]),
        )

    def select_stars(self, keep: np.ndarray) -> SceneState:
        """The state with only the stars where ``keep`` is True."""
        return replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            x_prior=self.x_prior[keep],
            y_prior=self.y_prior[keep],
            star_flux=self.star_flux[:, keep],
            star_id=self.star_id[keep],
            flux_precision=None if self.flux_precision is None else self.flux_precision[keep],
            star_probability=self.star_probability[keep],
        )

    def numbered(self, first: int = 1) -> SceneState:
        """The state with an identity from ``first`` upwards for every new star."""
        star_id = self.star_id.copy()
        new = np.flatnonzero(star_id < 0)
        star_id[new] = np.arange(first, first + len(new))
        return replace(self, star_id=star_id)
