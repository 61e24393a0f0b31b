"""PSF photometry of a whole field: find stars, fit all of them, and again below them.

From bright to faint: a pass takes only the peaks that cannot be a part of a
brighter one's wings; what they leave is searched in the next pass. All stars
known so far are fitted together after each pass.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.imaging.neighbours import groups_of, pairs_within
from galstep.core.star_field.blends import moved_in_blends
from galstep.core.star_field.detect import (
    MAX_KERNEL_HALF_SIZE,
    Peaks,
    apart,
    field_filter,
    finder_peaks,
    map_scatter,
    matched_filter_peaks,
)
from galstep.core.star_field.model import FieldModel, StarState
from galstep.core.star_field.options import StarFieldOptions
from galstep.core.star_field.quality import (
    FitQuality,
    fit_quality,
    group_sizes,
    lost_in_a_step,
    star_errors,
    star_flags,
    with_given_groups,
)
from galstep.core.star_field.sky import measure_mesh
from galstep.core.star_field.solve import field_equations
from galstep.core.star_field.tiles import make_tiles
from galstep.core.star_field.wings import not_in_wings, wing_envelope

if TYPE_CHECKING:
    from galstep.core.star_field.detect import Known
    from galstep.core.star_field.given import GivenStars
    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.tiles import FieldImage, Tile

__all__ = ["StarField", "StarFieldOptions", "fit_star_field"]

log = logging.getLogger("stpipe.galstep.star_field")

# The longest step of a position, and how well a position is taken to be known at each step.
MAX_MOVE, TRUST, LEAST_TRUST, MOST_TRUST = 0.4, 0.3, 0.02, 1e3
# A star stands still when its step is below this share of its error, in a pass and at the end.
STILL, FINAL_STILL = 0.2, 0.001
STEPS_PER_PASS, FINAL_STEPS, FINAL_FITS = 4, 25, 4
# The sky stands still when it changes by less than this share of the noise.
SKY_STILL = 0.02
# In FWHM: stars closer than this become one.
MERGE = 0.25


@dataclass(frozen=True, eq=False)
class StarField:
    """What was measured: ``state`` and arrays per star in its order.

    ``errors`` is (N, 3) of flux, x, y. ``model`` draws residuals of any part of
    the field: `residual`. ``history`` has a dict per pass. ``measured`` says which
    stars have numbers of their own, ``held`` whose positions were held; ``given`` are
    the stars that were asked for.
    """

    state: StarState
    errors: np.ndarray
    quality: FitQuality
    flags: np.ndarray
    group_id: np.ndarray
    group_size: np.ndarray
    model: FieldModel
    history: list = field(default_factory=list)
    measured: np.ndarray | None = None
    held: np.ndarray | None = None
    given: GivenStars | None = None

    def residual(self, tile: Tile) -> np.ndarray:
        """Data without stars and sky, NaN where bad."""
        residual, _, good, _ = self.model.look(tile, self.state)
        return np.where(good, residual, np.nan)

    def stars(self, tile: Tile, half_size: int | None = None) -> np.ndarray:
        """The stars alone, drawn as far as they matter or in boxes of this half-size."""
        return self.model.stars_on(tile, self.state, half_size)

    def sky(self, tile: Tile) -> np.ndarray:
        """The mesh; 0 where each star has a level of its own."""
        return self.model.sky.image(tile)

    def local_bkg(self) -> np.ndarray:
        """The sky beneath each star: mesh and ring together, or what was given.

        NaN where there was nothing to measure it on; then nothing was subtracted.
        """
        state = self.state
        level = self.model.sky.at(state.x, state.y) + state.level
        return np.where(np.isfinite(state.own_sky), state.own_sky, level)


def fit_star_field(
    image: FieldImage,
    psfs: PsfField,
    options: StarFieldOptions | None = None,
    initial: GivenStars | None = None,
) -> StarField:
    """Find and measure the stars of a field.

    Parameters
    ----------
    image : `galstep.core.star_field.tiles.FieldImage`
    psfs : `galstep.core.star_field.psf.PsfField`
    options : StarFieldOptions, optional
    initial : GivenStars, optional
        Stars that are in the field whatever is found; they are never dropped. Those
        without a place, or so far off the frame that no pixel is theirs, are not
        fitted: `galstep.core.star_field.rows.rows_of_field` has a row for them.

    Returns
    -------
    StarField
        In the order of ``initial``, the others after them by y.
    """
    options = StarFieldOptions() if options is None else options
    run = _FieldRun(image, psfs, options)
    if initial is not None:
        run.add_given(initial)
    run.measure_sky()
    if initial is not None:
        run.first_fluxes()
        run.fit(STEPS_PER_PASS)
        run.measure_sky()
    for number in range(options.n_passes if options.finder != "none" else 0):
        found = run.search(last=number == options.n_passes - 1)
        run.history.append(dict(found=len(found), known=len(run.state)))
        log.debug("pass %d: %s", number + 1, run.history[-1])
        if not len(found):
            break
        run.add(found)
        run.fit(STEPS_PER_PASS)
        run.measure_sky()
        run.prune()
    return run.finish()


class _FieldRun:
    """The moving parts of one run."""

    def __init__(self, image, psfs, options):
        self.options = options
        half = psfs.matrix_half_size if options.half_size is None else options.half_size
        tiles = make_tiles(image.shape, options.tile_size)
        typical = image.typical_error()
        if np.isfinite(typical):
            image = image.with_sigma(typical)
        self.model = FieldModel(image, psfs, tiles, half)
        self.fwhm = psfs.mean.fwhm
        self.matched = psfs.mean.derived("matched filter", lambda: field_filter(psfs))
        # what the last sky was measured with: the same again gives the same
        self.measured = None, None
        none = np.zeros(0)
        self.state = StarState.start(none, none, none, TRUST)
        # the last step of each star in units of its error, and its marginal errors then
        self.unrest, self.errors = np.zeros(0), np.zeros((0, 3))
        self.rejected = np.zeros((0, 2))
        # what the matched filter makes of weights that stay
        self.known: dict[Tile, Known] = {}
        self.history, self.n_given, self.without_flux = [], 0, np.zeros(0, dtype=bool)
        self.n_rounds = 0  # of stars that were added: given, or found in a search
        self.given: GivenStars | None = None

    # ------------------------------------------------------------------- sky

    def measure_sky(self):
        """Sky mesh, and the noise where no error plane tells it.

        Returns
        -------
        float
            Largest change of the sky in units of the noise.
        """
        model, options = self.model, self.options
        if options.background != "global" and model.image.err is not None:
            return 0.0
        # on another sky, or at the end, all stars have to be looked at again
        self.unrest[:] = np.inf
        if self.measured[0] is self.state and self.measured[1] == model.image.sigma:
            return 0.0
        self.measured = self.state, model.image.sigma
        mesh, scatter = measure_mesh(
            model.image.shape,
            options.box_size,
            lambda t: model.without_stars(t, self.state),
            model.image.step,
        )
        if model.image.err is None:
            # a frame without noise is rounded
            scatter = np.fmax(scatter, self.rounding)
        known = model.image.err is not None or not scatter > 0
        change = 0.0
        if options.background == "global" and scatter > 0:
            change = float(np.abs(mesh.levels - model.sky.levels).max()) / scatter
        model.changed(
            image=None if known else model.image.with_sigma(scatter),
            sky=mesh if options.background == "global" else None,
        )
        return change

    @cached_property
    def rounding(self):
        return self.model.image.rounding(self.model.tiles)

    @property
    def _local_radii(self):
        return self.options.local_radii if self.options.background == "local" else None

    # ------------------------------------------------------------- positions

    def add_given(self, given):
        """Stars that the user gives; those with no pixel in the frame stay out."""
        self.given = given
        number = np.flatnonzero(given.near(self.model.image.shape, self.model.half_size))
        own = given.select(number)
        self.without_flux = ~np.isfinite(own.flux)
        flux = np.where(self.without_flux, 0.0, own.flux)
        self.n_rounds = 1
        self.state = StarState.start(own.x, own.y, flux, TRUST, self.n_rounds, number)
        if own.local_bkg is not None:
            self.state = replace(self.state, own_sky=np.array(own.local_bkg, dtype=float))
        self.n_given = len(own)
        self.unrest = np.full(self.n_given, np.inf)
        self.errors = np.full((self.n_given, 3), np.nan)

    def first_fluxes(self):
        """Fluxes where none is given: the linear fit at the given positions."""
        if not self.without_flux.any():
            return
        equations, self.state = self._equations()
        everyone = np.ones(len(self.state), dtype=bool)
        step = equations.held(everyone).steps(self.state.trust)
        flux = np.where(self.without_flux, step[:, 0], self.state.flux)
        self.state = replace(self.state, flux=flux, flux_init=flux.copy())

    def search(self, last):
        """New stars on what the known ones leave."""
        options = self.options
        parts, samples = [], []
        for tile in self.model.tiles:
            found, sample = self._search_tile(tile)
            parts.append(found)
            samples.append(sample)
        found = Peaks.joined(parts)
        if options.finder == "galstep" and len(found):
            scatter = map_scatter(np.concatenate(samples))
            found = replace(found, significance=found.significance / scatter)
            found = found.select(found.significance > options.threshold)
        state = self.state
        known_x = np.concatenate([state.x, self.rejected[:, 0]])
        known_y = np.concatenate([state.y, self.rejected[:, 1]])
        found = apart(found, known_x, known_y, options.separation * self.fwhm)
        # in the last pass nothing comes after: what is left is taken
        if last or len(found) < 2:
            return found
        psfs = self.model.psfs
        envelope = psfs.mean.derived(
            "wing envelope", lambda: wing_envelope(psfs, self.matched.kernel)
        )
        return found.select(not_in_wings(found, envelope))

    def _search_tile(self, tile):
        margin, options = MAX_KERNEL_HALF_SIZE + 3, self.options
        frame = tile.grown(margin, self.model.image.shape)
        residual, weight, good, stars = self.model.look(frame, self.state)
        if options.finder == "galstep":
            doubt = options.psf_error * stars if len(self.state) else None
            found, sample, known = matched_filter_peaks(
                self.matched, residual, weight, doubt, tile, frame, options.threshold,
                self.known.get(tile),
            )  # fmt: skip
            if self.model.keeps_weights:
                self.known[tile] = known
            return found, sample
        sigma = self.model.image.sigma
        if self.model.image.err is not None and good.any():
            sigma = 1 / np.sqrt(np.median(weight[good]))
        # in units of the noise: the finders have limits of their own in those of the image
        found = finder_peaks(
            options.finder, residual / sigma, good, tile, frame, options.threshold, self.fwhm
        )
        return replace(found, flux=found.flux * sigma), np.zeros(0)

    def add(self, found):
        """Put new stars behind those that are there, by y."""
        found = found.select(np.lexsort((found.x, found.y)))
        self.n_rounds += 1
        new = StarState.start(found.x, found.y, found.flux, TRUST, self.n_rounds)
        self.state = self.state.joined(new)
        self.unrest = np.concatenate([self.unrest, np.full(len(new), np.inf)])
        self.errors = np.concatenate([self.errors, np.full((len(new), 3), np.nan)])

    # ------------------------------------------------------------------- fit

    def _groups(self, state):
        separation = self.options.group_separation
        if self.given is not None and self.given.group_id is not None:
            return with_given_groups(state, self.given.group_id, separation)
        return None if separation is None else groups_of(state.x, state.y, separation)[0]

    @property
    def _held(self):
        """Stars whose positions stay: those given, if they are not free."""
        return (self.state.number >= 0) & (not self.options.free_positions)

    def _equations(self, who=None):
        equations, state = field_equations(
            self.model, self.state, who, self._groups(self.state), self._local_radii
        )
        return equations.held(self._held if who is None else self._held[who]), state

    def fit(self, n_steps, still=STILL):
        """Steps of all stars that move, and of those beside them."""
        last = None
        for _ in range(n_steps):
            who = self._movers(self.unrest > still)
            if last is not None:
                self._note_errors(*last, followed_by=who)
            if not len(who):
                return
            equations, self.state = self._equations(who)
            step = equations.steps(self.state.trust[who])
            self._take(who, step, equations)
            last = who, equations
        if last is not None:
            self._note_errors(*last, followed_by=np.zeros(0, dtype=int))

    def _note_errors(self, who, equations, followed_by):
        """Errors of the stars for which this was the last step so far."""
        ended = ~np.isin(who, followed_by)
        if ended.any():
            self.errors[who[ended]] = star_errors(equations, ended)[ended]

    def _movers(self, moving):
        """Stars that move, and all whose boxes overlap with theirs."""
        if moving.all() or not moving.any():
            return np.flatnonzero(moving)
        return np.flatnonzero(self._near(moving))

    def _near(self, which):
        """Whether the box of a star overlaps with that of one of ``which``."""
        tree = cKDTree(np.column_stack([self.state.x, self.state.y]))
        reach = 2 * self.model.half_size + 1
        near = np.zeros(len(which), dtype=bool)
        for own in tree.query_ball_point(tree.data[which], reach, p=np.inf):
            near[own] = True
        return near

    def _take(self, who, step, equations):
        """Apply a step within its bounds and note which stars stand still."""
        state, options = self.state, self.options
        information = equations.diagonal
        moves = np.clip(step[:, 1:], -MAX_MOVE, MAX_MOVE)
        x, y, flux = state.x.copy(), state.y.copy(), state.flux.copy()
        old = np.column_stack([x[who], y[who]])
        new = old + moves
        if options.xy_bound is not None:
            first, bounds = np.column_stack([state.x_init[who], state.y_init[who]]), options.bounds
            new = first + np.clip(new - first, np.negative(bounds), bounds)
        x[who], y[who] = new.T
        flux[who] += step[:, 0]
        taken = np.column_stack([step[:, 0], new - old])
        self.unrest[who] = (np.abs(taken) * np.sqrt(information)).max(axis=1)
        # one that goes to and fro takes smaller steps, one that goes on in one direction larger
        # ones: held back, a blend whose stars hardly know their places creeps, and seems to stand
        trust, last = state.trust.copy(), [state.step_x.copy(), state.step_y.copy()]
        along = taken[:, 1] * last[0][who] + taken[:, 2] * last[1][who]
        factor = np.where(along < 0, 0.5, np.where(along > 0, 2.0, 1.0))
        trust[who] = np.clip(factor * trust[who], LEAST_TRUST, MOST_TRUST)
        last[0][who], last[1][who] = taken[:, 1], taken[:, 2]
        self.state = replace(
            state, x=x, y=y, flux=flux, trust=trust, step_x=last[0], step_y=last[1]
        )

    # ----------------------------------------------------------------- prune

    def prune(self):
        """Drop found stars that do not carry their error; merge pairs. True if any went."""
        state = self.state
        if len(state) == self.n_given:
            return False
        error = self.errors[:, 0]
        significance = state.flux / np.where(error > 0, error, np.inf)
        flux, gone = self._merged(significance)
        given = state.number >= 0
        outside = self._outside()
        poor = (significance < self.options.threshold) | outside
        gone |= poor & ~given & ~self._beside_weaker(poor & ~given, significance)
        gone &= ~given
        if not gone.any():
            return False
        self.rejected = np.concatenate(
            [self.rejected, np.column_stack([state.x_init, state.y_init])[gone]]
        )
        self.unrest[self._near(gone)] = np.inf
        self.state = replace(state, flux=flux).select(~gone)
        self.unrest, self.errors = self.unrest[~gone], self.errors[~gone]
        return True

    def _outside(self):
        ny, nx = self.model.image.shape
        x, y = self.state.x, self.state.y
        return (x < -0.5) | (y < -0.5) | (x > nx - 0.5) | (y > ny - 0.5)

    def _beside_weaker(self, poor, significance):
        """Poor stars with a poorer one within a FWHM: of a pair one goes at a time."""
        waits = np.zeros(len(poor), dtype=bool)
        which = np.flatnonzero(poor)
        if len(which) > 1:
            a, b = which[pairs_within(self.state.x[which], self.state.y[which], self.fwhm)].T
            waits[np.where(significance[a] > significance[b], a, b)] = True
        return waits

    def _merged(self, significance):
        """Fluxes after merging close pairs, and which stars are gone."""
        state, flux = self.state, self.state.flux.copy()
        gone = np.zeros(len(state), dtype=bool)
        for a, b in sorted(map(tuple, pairs_within(state.x, state.y, MERGE * self.fwhm))):
            if not (gone[a] or gone[b]):
                weak, strong = (a, b) if significance[a] < significance[b] else (b, a)
                if state.number[weak] >= 0:
                    weak, strong = strong, weak
                if state.number[weak] < 0:
                    gone[weak] = True
                    flux[strong] += flux[weak]
        return flux, gone

    # ---------------------------------------------------------------- finish

    def finish(self):
        """Fit to convergence; the result, ordered."""
        for _ in range(FINAL_FITS):
            change = self.measure_sky()
            self.fit(FINAL_STEPS, FINAL_STILL)
            if not self.prune() and change < SKY_STILL:
                break
        # all once more: where a star stood still must not depend on rounding
        self.unrest[:] = np.inf
        self.fit(FINAL_STEPS, FINAL_STILL)
        given = self.state.number
        order = np.lexsort((self.state.x, self.state.y, np.where(given < 0, len(given), given)))
        self.state = self.state.select(order)
        still, options = self.unrest[order] <= FINAL_STILL, self.options
        # those of the steps lack neighbours that stood still
        equations, self.state = self._equations()
        errors, state = self._with_blends(star_errors(equations)), self.state
        lost = lost_in_a_step(self.model.image, self.model.psfs.mean, state.flux)
        errors[:, 0] = np.hypot(errors[:, 0], lost)
        measured = ~equations.unseen
        n_free = np.where(self._held, 1, 3)
        quality = fit_quality(self.model, state, n_free)
        # fewer pixels than unknowns: what the damped steps made of them is no measurement
        few = measured & (quality.n_pixels_fit < n_free)
        measured &= ~few
        state = replace(state, flux=np.where(few, 0.0, state.flux))
        flags = star_flags(
            state, errors, quality, self.model.image.shape, self.model.half_size, still,
            options.bounds,
        )  # fmt: skip
        group_id = self._groups(state)
        if group_id is None:
            group_id, _ = groups_of(state.x, state.y, 2 * self.model.half_size + 1)
        return StarField(
            state, errors, quality, flags, group_id, group_sizes(group_id), self.model,
            self.history, measured, self._held, self.given,
        )  # fmt: skip

    def _with_blends(self, errors):
        """Errors, of stars that moved within a blend not below those where they began."""
        state, moved = self.state, moved_in_blends(self.state, self.fwhm)
        if not moved.any():
            return errors
        begun = replace(state, x=state.x_init, y=state.y_init)
        who = np.flatnonzero(self._near(moved))
        equations, _ = field_equations(
            self.model, begun, who, self._groups(state), self._local_radii
        )
        first = star_errors(equations.held(self._held[who]), moved[who])
        larger = errors.copy()
        larger[who] = np.fmax(errors[who], first)
        larger[~np.isfinite(errors)] = np.nan
        return larger
