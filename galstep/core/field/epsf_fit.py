"""The joint fit of a PSF and the stars that it is measured on.

In turn (a) the coefficients of `galstep.core.field.epsf_law.PolynomialLaw` and the sky of the
band, one linear solution over all pixels of all stars, and (b) flux, centre and sky of each star.
The sky beneath star i is S(x_i, y_i) + d_i: S, a plane, is common to all and solved with the
coefficients; d_i, what is not smooth, has a Gaussian prior whose width is the scatter of the
stars' own skies beyond their errors. A sky of its own for every star would take the wings of the
bright ones: they are the same on a stamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from galstep.core.field.epsf_law import PolynomialLaw, RadialModes, place_terms, profile_values
from galstep.core.field.epsf_stars import CORE
from galstep.core.imaging.medians import mad_std, median
from galstep.core.psf.kernel_families import FWHM_OF_SIGMA

if TYPE_CHECKING:
    from galstep.core.field.epsf_options import EpsfOptions
    from galstep.core.field.epsf_stars import StarStamp
    from galstep.core.field.records import FieldBand

__all__ = ["EpsfFit", "StarEquations", "normalised", "solved"]

# Stars of the common profile, and rounds: no more than so many, fewer if the PSF stands still to
# this sum of differences.
_BRIGHTEST, _PROFILE_ROUNDS, _ROUNDS, _STILL = 15, 3, 12, 2e-4
# Stars that each term of the polynomial in the place needs, and each of the plane of the sky.
_STARS_PER_TERM, _STARS_PER_SKY_TERM = 6, 4
# The model's own error as a share of the light: of the profile alone, and of the whole.
_ROUGH, _FINE = 0.02, 0.003
# Of the light of a neighbour: in its core its flux is not known better, and in its wings, between
# these radii (pixels), the PSF is not. A full star outshines the sky there, and the wings that are
# to be measured would be made of what is wrong with its own.
_NEAR, _NEAR_WINGS, _NEAR_RADII = 0.02, 0.5, (6.0, 16.0)
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
# The plane of the sky has this width before any star speaks (sigma of a pixel), and what is not
# smooth in it is no less than this.
_SKY_WIDTH, _LEAST_SPREAD = 30.0, 1e-4
# Of ln FWHM (pixels), ln beta and the two ellipticities of the Moffat.
_BOUNDS = (
    [np.log(1.2), np.log(1.6), -0.5, -0.5],
    [np.log(20.0), np.log(8.0), 0.5, 0.5],
)


@dataclass(frozen=True, eq=False)
class StarEquations:
    """What one star says: normal equations of the modes and of its sky.

    Attributes
    ----------
    modes, cross, sky : (m, m) array, (m,) array, float
        Their matrix; ``cross`` couples modes and sky.
    target_modes, target_sky : (m,) array, float
    place, sky_place : (t,), (s,) arrays
        Terms of the place that the modes and the sky are multiplied with.
    """

    modes: np.ndarray
    cross: np.ndarray
    sky: float
    target_modes: np.ndarray
    target_sky: float
    place: np.ndarray
    sky_place: np.ndarray

    @cached_property
    def joint(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and vector in all coefficients: the modes' (place last), then the sky's."""
        corner = np.outer(np.kron(self.cross, self.place), self.sky_place)
        matrix = np.block(
            [
                [np.kron(self.modes, np.outer(self.place, self.place)), corner],
                [corner.T, self.sky * np.outer(self.sky_place, self.sky_place)],
            ]
        )
        vector = [np.kron(self.target_modes, self.place), self.target_sky * self.sky_place]
        return matrix, np.concatenate(vector)


def solved(matrix: np.ndarray, vector: np.ndarray, n_modes: int, n_terms: int) -> tuple:
    """Coefficients (n_modes, n_terms) and factors of the sky."""
    found = np.linalg.solve(matrix, vector)
    n = n_modes * n_terms
    return found[:n].reshape(n_modes, n_terms), found[n:]


def normalised(coefficients: np.ndarray, light: np.ndarray, total: float, round_ones: np.ndarray):
    """The same PSF with the profile's total light everywhere, to first order in the place.

    The round modes add up to one, so that a factor is a change of their coefficients. While the
    fluxes of the stars stand, the scale of the PSF must not be held: a wing that is found could
    then only come out of the core, which the data hold.

    Parameters
    ----------
    coefficients : (n_modes, n_terms) array
    light : (n_modes,) array
        Sum of the profile times each mode.
    total : float
        Sum of the profile.
    round_ones : (n_modes,) bool array
    """
    sums = light @ coefficients
    whole = total + sums[0]
    own = coefficients.copy()
    own[round_ones, 0] += 1.0
    own[:, 1:] -= np.outer(own[:, 0], sums[1:] / whole)
    own *= total / whole
    own[round_ones, 0] -= 1.0
    return own


class EpsfFit:
    """The stars and the law as they stand.

    Parameters
    ----------
    band : FieldBand
    stars : list of StarStamp
    half : int
        Half the side of their stamps.
    options : EpsfOptions
    kind : {"moffat", "gaussian"}
    """

    def __init__(
        self, band: FieldBand, stars: list[StarStamp], half: int, options: EpsfOptions, kind: str
    ) -> None:
        self.stars, self.options, self.kind = stars, options, kind
        self.gain_term, self.sigma = band.variance_per_unit, band.sigma
        offsets = np.arange(-half, half + 1)
        gx, gy = np.meshgrid(offsets, offsets)
        disc = np.hypot(gx, gy) <= half + 0.5
        self.grid = gx[disc] + 0.0, gy[disc] + 0.0
        ny, nx = band.pixels.shape
        self.shape, self.reach = (ny, nx), float(half)
        self.order = self._order(options.psf_order, _STARS_PER_TERM)
        self.sky_order = self._order(1, _STARS_PER_SKY_TERM)
        self.sky = np.zeros(len(place_terms(0, 0, self.shape, self.sky_order)))
        self.spread = np.inf
        self.equations: list[StarEquations] = []
        width = FWHM_OF_SIGMA * np.median([s.size for s in stars])
        profile = np.array([np.log(width), np.log(3.0), 0, 0])
        self.law = self._law(profile, None)

    def _order(self, wanted, stars_per_term):
        """The largest order, up to that wanted, whose terms have enough stars each."""
        while wanted and len(self.stars) < stars_per_term * (wanted + 1) * (wanted + 2) // 2:
            wanted -= 1
        return wanted

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
        counted = self.gain_term * np.maximum(light + star.others - star.base, 0)
        return star.variance + counted + (share * light) ** 2 + star.others_variance

    def _sky_place(self, star):
        return place_terms(star.x, star.y, self.shape, self.sky_order)

    def _draw_others(self):
        """The light of the sources about each star, by the law as it stands.

        Their cores are not used; their wings beyond would pass for sky, and with the sky the
        star's own wings would go (fluxes 0.9 % low in a field of a star per 900 pixels).
        """
        ny, nx = self.shape
        drawn = self.law.values(*self.grid, (nx - 1) / 2, (ny - 1) / 2)
        core = np.hypot(*self.grid) <= CORE + 0.5
        in_core, total = float(drawn[core].sum()), float(drawn.sum())
        for star in self.stars:
            star.others = np.zeros(len(star.data)) + star.base
            star.others_variance = np.zeros(len(star.data))
            for x, y, light in star.near:
                dx, dy = self.grid[0] + star.ix - x, self.grid[1] + star.iy - y
                share = total if star.near_total else in_core
                own = light / share * self.law.values(dx, dy, x, y)
                away = np.hypot(dx, dy)
                # farther than stars tell the profile is a guess
                own = np.where(away <= self.reach, np.maximum(own, 0.0), 0.0)
                wrong = np.interp(away, _NEAR_RADII, (_NEAR, _NEAR_WINGS))
                star.others += own
                star.others_variance += (wrong * own) ** 2

    # --------------------------------------------------------------- profile

    def fit_profile(self) -> None:
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

    # ----------------------------------------------------------------- stars

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
        matrix, vector = weighted @ jacobian.T, weighted @ residual
        try:
            own = np.linalg.inv(matrix)
            star.free_sky = float(star.sky + own[3] @ vector)
            star.sky_variance = float(own[3, 3])
            known = float(self._sky_place(star) @ self.sky)
            matrix[3, 3] += self.spread**-2
            vector[3] += (known - star.sky) * self.spread**-2
            step = np.linalg.solve(matrix, vector)
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

    def _fit_spread(self):
        """By how much the stars' skies scatter about a plane beyond their errors.

        The fainter half of the stars tells: what the PSF lacks in its wings stands in the skies of
        the bright ones, and would be taken for an uneven sky.
        """
        sky = np.array([star.free_sky for star in self.stars])
        variance = np.array([star.sky_variance for star in self.stars])
        if len(sky) < _STARS_PER_SKY_TERM:
            return
        terms = np.array([self._sky_place(star) for star in self.stars])
        flux = np.array([star.flux for star in self.stars])
        faint = flux <= median(flux)
        weight = 1 / np.sqrt(variance + median(variance))
        level = np.linalg.lstsq((terms * weight[:, None])[faint], (sky * weight)[faint], rcond=None)
        deviation = (sky - terms @ level[0])[faint]
        beyond = mad_std(deviation) ** 2 - median(variance[faint])
        self.spread = float(np.sqrt(max(beyond, (_LEAST_SPREAD * self.sigma) ** 2)))

    # ----------------------------------------------------------------- modes

    def fit_modes(self) -> None:
        """The coefficients, in turn with the stars."""
        before = None
        for number in range(_ROUNDS):
            share = _ROUGH if number == 0 else _FINE
            coefficients, self.sky = self._solved(share, clip=number > 0)
            self.law = self._law(self.law.profile, coefficients)
            self._draw_others()
            for _ in range(2):
                for star in self.stars:
                    self._fit_star(star, share)
            if number == 1:
                self._drop_poor()
                self._choose_order()
            if number % 2:
                self._fit_spread()
            drawn = self.law.values(*self.grid, *(n / 2 for n in self.shape[::-1]))
            if number > 3 and np.abs(drawn - before).sum() < _STILL:
                break
            before = drawn

    def _drop_poor(self):
        """Leave out what is no star: doubles, galaxies, flaws."""
        chi2 = np.array([star.chi2 for star in self.stars])
        limit = _POOR_STAR * max(float(np.median(chi2)), 1.0)
        kept = [star for star, own in zip(self.stars, chi2, strict=True) if own <= limit]
        if len(kept) >= self.options.min_stars:
            self.stars = kept

    def _choose_order(self):
        """The order of the polynomial in the place that the stars have the largest evidence for.

        ln evidence = (b A^-1 b - ln det A + ln det A_prior) / 2, A being the matrix with the
        prior's: terms that tell no more than noise would cost accuracy (1.7 times the error of the
        PSF for a plane that is not there).
        """
        n_modes, n_terms = self.law.coefficients.shape
        matrix, vector = self.summed()
        prior = np.diag(self.prior())
        best, largest = self.order, -np.inf
        for order in range(self.order + 1):
            count = len(place_terms(0, 0, self.shape, order))
            kept = np.arange(n_modes * n_terms) % n_terms < count
            kept = np.flatnonzero(np.concatenate([kept, np.ones(len(self.sky), dtype=bool)]))
            own = matrix[np.ix_(kept, kept)]
            evidence = vector[kept] @ np.linalg.solve(own, vector[kept])
            evidence += np.log(prior[kept]).sum() - np.linalg.slogdet(own)[1]
            if evidence > largest:
                best, largest = order, evidence
        if best < self.order:
            self.order = best
            count = len(place_terms(0, 0, self.shape, best))
            self.law = self._law(self.law.profile, self.law.coefficients[:, :count])

    @cached_property
    def modes(self) -> RadialModes:
        """The terms that the profile is multiplied with."""
        return RadialModes(self.reach)

    @cached_property
    def mode_values(self) -> np.ndarray:
        """Of `modes`, on the grid of a star in the middle of its pixel."""
        return self.modes.values(*self.grid)

    @property
    def profile_light(self) -> tuple[np.ndarray, float]:
        """Sum of the profile times each mode, and of the profile."""
        profile = profile_values(self.law.profile, self.kind, *self.grid)
        return self.mode_values @ profile, float(profile.sum())

    def prior(self) -> np.ndarray:
        """Matrix of what is known of the coefficients before any star is seen."""
        n_terms = self.law.coefficients.shape[1]
        widths = np.repeat(self._widths()[:, None], n_terms, axis=1)
        widths[:, 1:] *= 0.5
        sky = np.full(len(self.sky), _SKY_WIDTH * self.sigma)
        return np.diag(np.concatenate([widths.ravel(), sky]) ** -2.0)

    def summed(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and vector of all stars and of what is known before."""
        n_modes, n_terms = self.law.coefficients.shape
        matrix = self.prior()
        vector = np.zeros(len(matrix))
        for own in self.equations:
            matrix += own.joint[0]
            vector += own.joint[1]
        n = n_modes * n_terms
        matrix[:n, :n] += self._held(n_terms, np.trace(matrix[:n, :n]))
        return matrix, vector

    def _solved(self, share, clip):
        n_modes, n_terms = self.law.coefficients.shape
        self.equations = [self._equations(star, share, clip) for star in self.stars]
        matrix, vector = self.summed()
        coefficients, sky = solved(matrix, vector, n_modes, n_terms)
        return normalised(coefficients, *self.profile_light, self.modes.round_ones), sky

    def _widths(self):
        """Of the priors of the modes."""
        light = self.profile_light[0]
        wide = np.maximum(_ROUND_WIDTH, _ROUND_LIGHT / np.maximum(light, 1e-9))
        return np.where(self.modes.round_ones, wide, _TURNING_WIDTH)

    def _equations(self, star, share, clip):
        """What a star says of the modes and of the sky, what is its own sky left open."""
        dx, dy = self._offsets(star)
        profile = star.flux * profile_values(self.law.profile, self.kind, dx, dy)
        light = star.flux * self.law.values(dx, dy, star.x, star.y)
        residual = star.data - star.sky - star.others - light
        variance = self._variance(star, light, share)
        weight = np.where(star.used, 1 / variance, 0.0)
        if clip:
            weight = np.where(residual**2 > _CLIP**2 * variance, 0.0, weight)
        jacobian = profile * self.modes.values(dx, dy)
        weighted = jacobian * weight
        target = star.data - star.others - profile
        sums, total, push = weighted.sum(axis=1), float(weight.sum()), float(weight @ target)
        known = self.spread**-2
        share_own = 1 / max(total + known, 1e-300)
        return StarEquations(
            modes=weighted @ jacobian.T - share_own * np.outer(sums, sums),
            cross=sums * known * share_own,
            sky=total * known * share_own,
            target_modes=weighted @ target - share_own * push * sums,
            target_sky=push * known * share_own,
            place=place_terms(star.x, star.y, self.shape, self.order),
            sky_place=self._sky_place(star),
        )

    def _held(self, n_terms, size):
        """What would only move all stars: their centres have that already."""
        dx, dy = self.grid
        held = np.zeros((len(self.modes),) * 2)
        for a, b in ((_STEP, 0.0), (0.0, _STEP)):
            change = profile_values(self.law.profile, self.kind, dx - a, dy - b)
            change = change - profile_values(self.law.profile, self.kind, dx + a, dy + b)
            direction = self.mode_values @ change
            direction /= np.linalg.norm(direction)
            held += size * np.outer(direction, direction)
        return np.kron(held, np.eye(n_terms))
