"""Inject: copies of the galaxy and stars in the real image, measured again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from galstep.core.injection.recovery import faint_star_error, unmatched
from galstep.core.injection.rows import (
    MATCH_FWHM,
    collect,
    galaxy_rows,
    rounded,
    star_rows,
    summary_of,
)
from galstep.core.injection.sources import (
    clear_corners,
    copies_of,
    draw_stars,
    extended_sources,
    galaxy_image,
    noise_like,
    star_image,
)
from galstep.datamodels import BandData, GalaxyModel
from galstep.datamodels.galaxy import Meta
from galstep.datamodels.tables.totals import total_flux
from galstep.exceptions import ParameterError
from galstep.records import StarList
from galstep.steps.framework.base import GalStep
from galstep.steps.galaxy.scenes import effective_psf, fitted_base
from galstep.steps.refit import refit, with_exact_psf

__all__ = ["Inject"]

# A box holds a galaxy and its wings from this many r_eff on.
BOX_IN_R_EFF = 5.0
# Middles of boxes are at least this far from the frame's own galaxy (sides of
# the box), and its core, which no model fits to the noise, is masked in them.
FROM_GALAXY = 0.45
CORE_IN_R_EFF, MAX_CORE = 1.5, 30.0
# Injected stars per run, as a share of those there are: the field stays as crowded.
STAR_SHARE, LEAST_STARS = 0.1, 5


class Inject(GalStep):
    """Put copies of the galaxy and stars into the image and measure them again.

    The fits that ran are repeated with their own parameters: what comes out is what
    their values and errors are worth in this frame, and which stars they find.

    ``galstep params inject --all`` lists every parameter.
    """

    class_alias = "gal_inject"

    spec = """
    skip = boolean(default=True)                # Skip this step in a pipeline; on its own it runs
    n_galaxies = integer(min=0, max=10000, default=16)  # Number of copies of the galaxy, each measured in a box of its own
    n_stars = integer(min=0, max=100000, default=60)    # Number of stars, put into the whole frame a few at a time
    filters = force_list(default=None)          # Filters to measure in, the base among them (default: all that are fitted and have the base's pixels)
    box = integer(min=32, max=4001, default=121)  # Side of the boxes (pixels)
    flux_factor = float(min=0.001, max=1000, default=1.0)  # Flux of a copy over that of the galaxy
    star_snr = float_list(min=2, max=2, default=list(4, 100))  # Lowest and highest S/N of the stars, in every filter
    seed = integer(min=0, default=1)            # Of places, angles and fluxes: the same seed gives the same numbers
    """

    def process(self, input: Any) -> GalaxyModel:
        """Inject into the filters that have been fitted.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With the result of a fit step.

        Returns
        -------
        GalaxyModel
            With ``injections``; nothing else of it has changed.

        Raises
        ------
        PrerequisiteError
            If there is no base fit.
        ParameterError
            If ``filters`` names a filter that is not fitted.
        """
        model = self.prepare_output(input)
        base = fitted_base(model, "Inject")
        bands = self._bands(model, base)
        rng = np.random.default_rng(self.seed)
        rows = self._galaxies(model, bands, base, rng)
        star_part, listed, spurious = self._stars(model, bands, base, rng)
        rows = rounded(rows + star_part)
        summary = summary_of(rows, [band.name for band in bands], listed, spurious)
        model.injections = collect(rows, summary)
        self._report(model, base)
        return model

    def _bands(self, model, base):
        """The filters to measure in, the base first."""
        wanted = self.filters or [name for name, band in model.bands.items() if band.fitted]
        unknown = [n for n in wanted if n not in model.bands or not model.bands[n].fitted]
        if unknown:
            raise ParameterError(f"filters: {', '.join(unknown)} not among the fitted filters")
        names = dict.fromkeys([base.name, *wanted])
        on_grid = [n for n in names if _same_grid(model.bands[n], base)]
        left = [n for n in names if n not in on_grid]
        if left:
            self._logger.info("%s: other pixels than %s, left out", ", ".join(left), base.name)
        return [model.bands[name] for name in on_grid]

    def _refit(self, model, bands, base):
        joint = model.meta.fit_step == "jointfit"
        bands = {band.name: with_exact_psf(band) for band in bands}
        small = GalaxyModel(Meta(model.meta.name), bands)
        return refit(small, model.meta.parameters, base.name, joint)

    # -------------------------------------------------------------- galaxies

    def _galaxies(self, model, bands, base, rng):
        truths = self._copies(bands, base, rng) if self.n_galaxies else []
        rows = []
        for number, truth in enumerate(truths, 1):
            boxes = [self._box(band, truth, i) for i, band in enumerate(bands)]
            fitted = self._refit(model, boxes, base)
            rows += self._galaxy_rows(number, bands, truth, fitted)
        return rows

    def _copies(self, bands, base, rng):
        params = base.fit.sersic[0].params
        if self.box < BOX_IN_R_EFF * params.r_eff:
            self._logger.warning(
                "%s: no copies of the galaxy: r_eff %.1f needs boxes of %d pixels, box is %d",
                self.key, params.r_eff, np.ceil(BOX_IN_R_EFF * params.r_eff), self.box,
            )  # fmt: skip
            return []
        corners = []
        if self.box <= min(base.shape):
            corners = clear_corners(
                np.any([band.mask for band in bands], axis=0),
                (params.x_0, params.y_0),
                FROM_GALAXY * self.box,
                self.box,
                self.n_galaxies,
                rng,
                avoid=np.any([_other_galaxies(band) for band in bands], axis=0),
            )
        if len(corners) < self.n_galaxies:
            self._logger.warning(
                "%s: the frame has room for %d of %d copies in boxes of %d pixels",
                self.key, len(corners), self.n_galaxies, self.box,
            )  # fmt: skip
        flux = [self.flux_factor * band.fit.sersic[0].flux for band in bands]
        return copies_of(params, flux, corners, self.box, rng)

    def _box(self, band, truth, index):
        """The filter in the box: its own galaxy taken out, the copy put in."""
        part = truth.part(self.box)
        box = band.crop(*truth.corner, self.box, self.box)
        copy = galaxy_image(
            box.shape, effective_psf(band), truth.params.moved(*_offset(band)), truth.flux[index]
        )
        box.data = box.data - band.target_image[part] + copy
        box.mask = box.mask | _core(band)[part]
        return box

    def _galaxy_rows(self, number, bands, truth, fitted):
        names = [band.name for band in bands]
        own = [fitted.bands[name] for name in names]
        fits = [(_as_one(b), truth.corner) if b.fitted else None for b in own]
        joint = fitted.joint
        covariance = None
        if joint is not None and set(names) <= set(joint.filters):
            order = [joint.filters.index(name) for name in names]
            covariance = np.asarray(joint.flux_covariance)[np.ix_(order, order)]
        return galaxy_rows(
            number,
            names,
            truth.in_frame,
            [_offset(band) for band in bands],
            fits,
            [band.all_flags for band in own],
            covariance,
        )

    # ----------------------------------------------------------------- stars

    def _stars(self, model, bands, base, rng):
        """Rows of the injected stars, S/N of the listed ones and of those that cannot be."""
        names = [band.name for band in bands]
        frame = {band.name: band.fit.stars for band in bands}
        listed = {name: _snr(frame[name]) for name in names}
        none = {name: np.zeros(0) for name in names}
        if not self.n_stars:
            return [], none, none
        psfs = [effective_psf(band) for band in bands]
        fwhm = [psf.fwhm for psf in psfs]
        error = np.array(
            [
                faint_star_error(band.fit.stars, band.fit.noise_sigma * np.sqrt(psf.noise_area))
                for band, psf in zip(bands, psfs, strict=True)
            ]
        )
        mask = np.any([band.mask for band in bands], axis=0)
        per_run = max(LEAST_STARS, int(STAR_SHARE * len(base.fit.stars)))
        rows, done = [], 0
        while done < self.n_stars:
            count = min(per_run, self.n_stars - done)
            truth = draw_stars(mask, error, min(fwhm), self.star_snr, count, rng)
            if not len(truth):
                break
            fitted = self._refit(model, self._with_stars(bands, psfs, truth), base)
            rows += star_rows(
                done + 1,
                names,
                truth,
                [_offset(band) for band in bands],
                error,
                [_stars_of(fitted.bands[name]) for name in names],
                [frame[name] for name in names],
                fwhm,
            )
            done += len(truth)
        spurious = self._spurious(model, bands, base, MATCH_FWHM * min(fwhm), rng)
        return rows, listed, {name: _snr(stars) for name, stars in spurious.items()}

    def _spurious(self, model, bands, base, reach, rng):
        """Stars found where there are none, in a frame made of the fit's own models."""
        noises = noise_like(
            [np.nan_to_num(band.residual) for band in bands],
            [1.0 if band.err is None else band.err for band in bands],
            [band.mask for band in bands],
            rng,
        )
        frames = [
            _replaced(band, np.where(band.mask, np.nan, band.scene_image + noise))
            for band, noise in zip(bands, noises, strict=True)
        ]
        fitted = self._refit(model, frames, base)
        return {
            band.name: unmatched(
                _stars_of(fitted.bands[band.name]), band.fit.stars.x, band.fit.stars.y, reach
            )
            for band in bands
        }

    def _with_stars(self, bands, psfs, truth):
        """The frame with the stars added."""
        changed = []
        for i, (band, psf) in enumerate(zip(bands, psfs, strict=True)):
            dx, dy = _offset(band)
            added = star_image(band.shape, psf, truth.x + dx, truth.y + dy, truth.flux[i])
            changed.append(_replaced(band, band.data + added))
        return changed

    # ---------------------------------------------------------------- report

    def _report(self, model, base):
        own = model.injections.summary[base.name]
        galaxies, stars = own["galaxies"], own["stars"]
        said = {"galaxies": galaxies["count"], "failed": galaxies["failed"], "filter": base.name}
        for key in ("flux", "r_eff", "n"):
            pull = galaxies[key]
            said[f"{key}_pull"] = f"{pull['bias']:+.2f}+-{pull['std']:.2f}"
        for share in stars["bins"]:
            if share["isolated"]:
                name = f"complete_from_{share['snr_min']:g}"
                said[name] = f"{share['isolated_found']}/{share['isolated']}"
        said["spurious"] = f"{_total(stars, 'spurious')}/{_total(stars, 'listed')}"
        self.complete(model, **said)


def _total(stars, key):
    return sum(share[key] for share in stars["bins"])


def _same_grid(band, base):
    return band.shape == base.shape and band.fit.pixel_map == base.fit.pixel_map


def _offset(band):
    return tuple(band.fit.offset)


def _as_one(band):
    """The galaxy as measured: the shape of its first component, its total flux."""
    flux, error = total_flux(band)
    return replace(band.fit.sersic[0], flux=flux, flux_err=error)


def _stars_of(band):
    return band.fit.stars if band.fitted else StarList.empty()


def _snr(stars):
    """Flux over error, stars without an error left out."""
    known = stars.flux_err > 0
    return stars.flux[known] / stars.flux_err[known]


def _core(band):
    """The pixels of the frame's own galaxy that its model does not fit to the noise."""
    params = band.fit.sersic[0].params
    yy, xx = np.indices(band.shape)
    radius = min(CORE_IN_R_EFF * params.r_eff, MAX_CORE)
    return np.hypot(xx - params.x_0, yy - params.y_0) < radius


def _other_galaxies(band):
    image = band.data - band.target_image - band.sky
    return extended_sources(image, band.mask | _core(band), effective_psf(band).fwhm)


def _replaced(band, data):
    """The filter as it was before any fit, with other data."""
    return BandData(
        band.name,
        data,
        band.psf,
        band.oversample,
        err=band.err,
        mask=band.mask,
        psf_kernel=band.psf_kernel,
        unit=band.unit,
        pixel_scale=band.pixel_scale,
        wcs=band.wcs,
        origin=band.origin,
        input_shape=band.input_shape,
    )
