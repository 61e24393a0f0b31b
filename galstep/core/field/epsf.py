"""The PSF of a band from the field's own stars, smooth in place.

First the profile, common to the brightest stars. Then in turn (a) the coefficients of
`galstep.core.field.epsf_law.PolynomialLaw`, one linear solution over all pixels of all stars with
the sky beneath each star projected out, and (b) flux, centre and sky of each star. A prior of zero
holds the coefficients that no star tells; what would only move all stars is held at zero as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from galstep.core.field.epsf_law import PolynomialLaw, RadialModes, place_terms, profile_values
from galstep.core.field.epsf_stars import CORE, read_stars
from galstep.core.field.keys import content_key
from galstep.core.psf.kernel_families import FWHM_OF_SIGMA
from galstep.core.scene.psf_map import PsfMap
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.core.field.epsf_options import EpsfOptions
    from galstep.core.field.records import FieldBand

__all__ = ["EpsfResult", "EpsfTask", "PolynomialLaw", "epsf_of_band"]

# Half the side of the stamps: beyond, the wings of single stars are lost in the noise.
_HALF = 22
# Stars of the common profile, and rounds.
_BRIGHTEST, _PROFILE_ROUNDS, _ROUNDS = 15, 3, 5
# The model's own error as a share of the light: of the profile alone, and of the whole.
_ROUGH, _FINE = 0.02, 0.003
# Widths of the priors of round and of turning modes; those of the terms in the place are half.
_ROUND_WIDTH, _TURNING_WIDTH = 0.5, 0.25
# A round mode may bring so much of the star's light, however little the profile has there: the
# wings of a mixture of Gaussians are many times those of the Moffat that fits its core. With the
# width above alone sum |ePSF - true| is 0.018 for 0.015.
_ROUND_LIGHT = 0.01
# Pixels farther from the model are of something else (sigma); so are stars with so many times the
# chi2 of the others.
_CLIP, _POOR_STAR = 4.0, 3.0
_STEP = 0.05  # pixels, of the derivative with respect to the centre
# Of ln FWHM (pixels), ln beta and the two ellipticities of the Moffat.
_BOUNDS = (
    [np.log(1.2), np.log(1.6), -0.5, -0.5],
    [np.log(20.0), np.log(8.0), 0.5, 0.5],
)


@dataclass(frozen=True, eq=False)
class EpsfTask:
    """What is needed to measure the PSF of a band.

    Attributes
    ----------
    band : FieldBand
        Needs no PSF.
    x, y : (n,) arrays
        Candidates, reference pixels.
    other_x, other_y : (m,) arrays
        All sources, the candidates among them.
    options : EpsfOptions
    """

    band: FieldBand
    x: np.ndarray
    y: np.ndarray
    other_x: np.ndarray
    other_y: np.ndarray
    options: EpsfOptions

    @property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        band = (self.band.name, self.band.pixels.identity, self.band.sigma,
                self.band.variance_per_unit, str(self.band.pixel_map))  # fmt: skip
        return content_key(band, self.x, self.y, self.other_x, self.other_y, self.options)

    @property
    def cost(self) -> float:
        """Relative."""
        return float(min(len(self.x), self.options.max_stars) * (1 + self.options.psf_order) ** 2)


@dataclass(frozen=True, eq=False)
class EpsfResult:
    """The PSF of a band.

    Attributes
    ----------
    law : PolynomialLaw
    n_stars : int
    fwhm : float
        In the middle of the image, pixels.
    fallback : bool
        Whether there were too few stars for more than a profile.
    chi2 : float
        Reduced, median of the stars.
    stars : (n_stars, 2) array
        x and y, pixels of the band.
    """

    law: PolynomialLaw
    n_stars: int
    fwhm: float
    fallback: bool
    chi2: float
    stars: np.ndarray


def epsf_of_band(task: EpsfTask) -> EpsfResult:
    """Measure the PSF of a band.

    Parameters
    ----------
    task : EpsfTask

    Returns
    -------
    EpsfResult

    Raises
    ------
    InputError
        If there is no star at all.
    """
    band, options = task.band, task.options
    half = min(_HALF, (options.psf_size - 1) // 2)
    x, y = band.pixel_map.points(task.x, task.y)
    others = band.pixel_map.points(task.other_x, task.other_y)
    stars = read_stars(band, x, y, others, half, options)
    if not stars:
        raise InputError(
            f"band {band.name}: no star for the PSF among {len(task.x)} candidates (S/N above "
            f"{options.star_snr:g}, unsaturated, {options.star_edge} pixels from the edge): give "
            "psf_file"
        )
    fallback = len(stars) < options.min_stars
    work = _Work(band, stars, half, options, "moffat" if not fallback else options.psf_fallback)
    work.fit_profile()
    if not fallback:
        work.fit_modes()
    law = work.law
    ny, nx = band.pixels.shape
    return EpsfResult(
        law=law,
        n_stars=len(work.stars),
        fwhm=float(PsfMap(law).at((nx - 1) / 2, (ny - 1) / 2).fwhm),
        fallback=fallback,
        chi2=float(np.median([star.chi2 for star in work.stars])),
        stars=np.array([(star.x, star.y) for star in work.stars]),
    )


class _Work:
    """The stars and the law as they stand."""

    def __init__(self, band, stars, half, options, kind):
        self.stars, self.options, self.kind = stars, options, kind
        self.gain_term = band.variance_per_unit
        offsets = np.arange(-half, half + 1)
        gx, gy = np.meshgrid(offsets, offsets)
        disc = np.hypot(gx, gy) <= half + 0.5
        self.grid = gx[disc], gy[disc]
        self.shape, self.reach = tuple(band.pixels.shape), float(half)
        # a plane takes three places, a parabola six: with few stars the polynomial is cut
        order = options.psf_order
        while order and len(stars) < 2 * len(place_terms(0, 0, self.shape, order)):
            order -= 1
        self.order = order
        profile = np.array(
            [np.log(FWHM_OF_SIGMA * np.median([s.size for s in stars])), np.log(3.0), 0, 0]
        )
        self.law = self._law(profile, None)

    def _law(self, profile, coefficients):
        if coefficients is None:
            n_terms = len(place_terms(0, 0, self.shape, self.order))
            coefficients = np.zeros((len(RadialModes(self.reach)), n_terms))
        half = (self.options.psf_size - 1) // 2
        return PolynomialLaw(
            np.asarray(profile, dtype=float), self.kind, coefficients, self.shape, self.order, half,
            self.reach, self.options.psf_oversample,
        )  # fmt: skip

    def _offsets(self, star):
        return self.grid[0] + star.ix - star.x, self.grid[1] + star.iy - star.y

    def _variance(self, star, light, share):
        return star.variance + self.gain_term * np.maximum(light, 0) + (share * light) ** 2

    def _draw_others(self):
        """The light of the sources about each star, by the law as it stands.

        Their cores are not used; their wings beyond would pass for sky, and with the sky the
        star's own wings would go (fluxes 0.9 % low in a field of a star per 900 pixels).
        """
        offsets = np.arange(-CORE, CORE + 1)
        gx, gy = np.meshgrid(offsets, offsets)
        core = np.hypot(gx, gy) <= CORE + 0.5
        ny, nx = self.shape
        middle = (nx - 1) / 2, (ny - 1) / 2
        share = float(self.law.values(gx[core] + 0.0, gy[core] + 0.0, *middle).sum())
        for star in self.stars:
            star.others = np.zeros(len(star.data))
            for x, y, light in star.near:
                dx, dy = self.grid[0] + star.ix - x, self.grid[1] + star.iy - y
                star.others += light / share * self.law.values(dx, dy, x, y)

    # --------------------------------------------------------------- profile

    def fit_profile(self):
        """The profile of the brightest stars, and flux, centre and sky of all."""
        brightest = self.stars[:_BRIGHTEST]
        profile = np.clip(self.law.profile, *(np.array(b) * 0.999 for b in _BOUNDS))
        for _ in range(_PROFILE_ROUNDS):
            found = least_squares(
                lambda p: np.concatenate([self._profile_residual(p, star) for star in brightest]),
                profile, bounds=_BOUNDS, max_nfev=12, diff_step=1e-4, loss="soft_l1",
            )  # fmt: skip
            profile = found.x
            self.law = self._law(profile, None)
            self._draw_others()
            for star in self.stars:
                self._fit_star(star, _ROUGH)
        for _ in range(2):
            for star in self.stars:
                self._fit_star(star, _ROUGH)

    def _profile_residual(self, profile, star):
        """Weighted residual beside the best flux and sky."""
        own = profile_values(profile, self.kind, *self._offsets(star))
        weight = star.used / np.sqrt(self._variance(star, star.flux * own, _ROUGH))
        columns = np.stack([own * weight, weight], axis=1)
        target = (star.data - star.others) * weight
        best, *_ = np.linalg.lstsq(columns, target, rcond=None)
        return columns @ best - target

    def _fit_star(self, star, share):
        """A Gauss-Newton step of flux, centre and sky."""
        dx, dy = self._offsets(star)
        place = star.x, star.y
        own = self.law.values(dx, dy, *place)
        along = [
            (self.law.values(dx - a, dy - b, *place) - self.law.values(dx + a, dy + b, *place))
            / (2 * _STEP)
            for a, b in ((_STEP, 0.0), (0.0, _STEP))
        ]
        residual = star.data - star.sky - star.others - star.flux * own
        variance = self._variance(star, star.flux * own, share)
        weight = self._weight(star, residual, variance)
        jacobian = np.stack([own, star.flux * along[0], star.flux * along[1], np.ones(len(own))])
        weighted = jacobian * weight
        try:
            step = np.linalg.solve(weighted @ jacobian.T, weighted @ residual)
        except np.linalg.LinAlgError:
            return
        star.flux = max(star.flux + float(step[0]), 1e-3 * abs(star.flux))
        star.x += float(np.clip(step[1], -0.5, 0.5))
        star.y += float(np.clip(step[2], -0.5, 0.5))
        star.sky += float(step[3])
        star.chi2 = float(np.sum(weight * residual**2) / max(np.count_nonzero(weight) - 4, 1))

    @staticmethod
    def _weight(star, residual, variance):
        # twice the clip in a first look: the profile alone is no good model of a core
        far = residual**2 > (2 * _CLIP) ** 2 * variance
        return np.where(star.used & ~far, 1 / variance, 0.0)

    # ----------------------------------------------------------------- modes

    def fit_modes(self):
        """The coefficients, in turn with the stars."""
        for number in range(_ROUNDS):
            share = _ROUGH if number == 0 else _FINE
            self.law = self._law(self.law.profile, self._solved(share, clip=number > 0))
            self._draw_others()
            for _ in range(2):
                for star in self.stars:
                    self._fit_star(star, share)
            if number == 1:
                self._drop_poor()

    def _drop_poor(self):
        """Leave out what is no star: doubles, galaxies, flaws."""
        chi2 = np.array([star.chi2 for star in self.stars])
        limit = _POOR_STAR * max(float(np.median(chi2)), 1.0)
        kept = [star for star, own in zip(self.stars, chi2, strict=True) if own <= limit]
        if len(kept) >= self.options.min_stars:
            self.stars = kept

    def _solved(self, share, clip):
        modes = RadialModes(self.reach)
        n_modes, n_terms = self.law.coefficients.shape
        width = self._widths(modes)
        widths = np.repeat(width[:, None], n_terms, axis=1)
        widths[:, 1:] *= 0.5
        matrix = np.diag(1 / widths.ravel() ** 2)
        vector = np.zeros(n_modes * n_terms)
        for star in self.stars:
            own, target = self._equations(star, modes, share, clip)
            place = place_terms(star.x, star.y, self.shape, self.order)
            matrix += np.kron(own, np.outer(place, place))
            vector += np.kron(target, place)
        matrix += self._held(modes, n_terms, np.trace(matrix))
        return np.linalg.solve(matrix, vector).reshape(n_modes, n_terms)

    def _widths(self, modes):
        """Of the priors of the modes."""
        profile = profile_values(self.law.profile, self.kind, *(axis + 0.0 for axis in self.grid))
        light = modes.values(*(axis + 0.0 for axis in self.grid)) @ profile
        round_ones = np.array([m == 0 for _, m, _ in modes.terms])
        wide = np.maximum(_ROUND_WIDTH, _ROUND_LIGHT / np.maximum(light, 1e-9))
        return np.where(round_ones, wide, _TURNING_WIDTH)

    def _equations(self, star, modes, share, clip):
        """Normal equations of the modes at one star, its sky projected out."""
        dx, dy = self._offsets(star)
        profile = star.flux * profile_values(self.law.profile, self.kind, dx, dy)
        light = star.flux * self.law.values(dx, dy, star.x, star.y)
        residual = star.data - star.sky - star.others - light
        variance = self._variance(star, light, share)
        weight = np.where(star.used, 1 / variance, 0.0)
        if clip:
            weight = np.where(residual**2 > _CLIP**2 * variance, 0.0, weight)
        jacobian = profile * modes.values(dx, dy)
        weighted = jacobian * weight
        sums, total = weighted.sum(axis=1), max(weight.sum(), 1e-300)
        target = star.data - star.sky - star.others - profile
        matrix = weighted @ jacobian.T - np.outer(sums, sums) / total
        vector = weighted @ target - sums * float(weight @ target) / total
        return matrix, vector

    def _held(self, modes, n_terms, size):
        """What would only move or scale all stars: their centres and fluxes have that already."""
        dx, dy = (axis.astype(float) for axis in self.grid)
        profile = profile_values(self.law.profile, self.kind, dx, dy)
        along = [
            profile_values(self.law.profile, self.kind, dx - a, dy - b)
            - profile_values(self.law.profile, self.kind, dx + a, dy + b)
            for a, b in ((_STEP, 0.0), (0.0, _STEP))
        ]
        values = modes.values(dx, dy)
        directions = [values @ profile, *(values @ change for change in along)]
        held = np.zeros((len(modes), len(modes)))
        for direction in directions:
            direction = direction / np.linalg.norm(direction)
            held += size * np.outer(direction, direction)
        return np.kron(held, np.eye(n_terms))
