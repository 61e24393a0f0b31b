"""BaseFit: galaxy, stars and sky of the base filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galstep.core.detection.ladder_options import LadderOptions, Thresholds
from galstep.core.engine.simplex import fit_simplex
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.flags import BandFlag
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet
from galstep.steps.galaxy.base_filter import choose_base_filter
from galstep.steps.galaxy.companion_options import COMPANION_SPEC, given_companions
from galstep.steps.galaxy.convergence import note_passes
from galstep.steps.galaxy.galaxy_options import PRIOR_SPEC, shape_priors
from galstep.steps.galaxy.passes import Passes
from galstep.steps.galaxy.scenes import (
    effective_psf,
    error_or_noise,
    scene_band,
    sky_order_for,
    store,
    target_centre,
    try_fit,
)
from galstep.steps.galaxy.star_options import FINDER_SPEC, LadderParameters

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["BaseFit"]

ELSEWHERE = (
    "the base filter's galaxy ended far from where it was looked for: x_guess and y_guess decide"
)

# the colours of stars need several filters
STARS = LadderParameters(
    OptionSet(Thresholds()), OptionSet(LadderOptions(), without=["star_colour_prior"])
)
FITTERS: dict = {"varpro": fit_scene, "iterative_nm": fit_simplex}


class BaseFit(GalStep):
    """Fit the galaxy in the base filter, with every star and the sky.

    The galaxy comes first, with the stars masked; then stars are found from
    bright to faint, and galaxy, stars and sky are fitted together after each
    threshold, until the galaxy stands still.

    ``galstep params basefit --all`` lists every parameter.
    """

    class_alias = "gal_basefit"

    spec = (
        """
    base_filter = string(default='F150W')       # Filter whose shape the others share; not in the data: the filter with the most signal
    sky_order = option('auto', '0', '1', '2', default='auto')  # Degree of the sky polynomial: 0 constant, 1 plane, 2 quadratic; auto: a quadratic where the frame asks for it, else a plane. With a constant the star list runs away on real frames
    use_final_polish = boolean(default=True)    # End with a fit to full convergence
    galaxy_fitter = option('varpro', 'iterative_nm', default='varpro')  # How the galaxy's shape is fitted: varpro, damped Gauss-Newton steps in all parameters; iterative_nm, rounds of Nelder-Mead in the shape alone, for comparison (many times slower)
    allow_refit = boolean(default=False)        # A fit that did not converge, or has a shape parameter at its bound, is made again from other starts; the best is taken
    use_dual_annealing = boolean(default=False)  # After the fit, look for a better basin of the shape by simulated annealing
    gls = boolean(default=False)                # Last steps weighted with the measured covariance of the noise: better star fluxes, positions and centre in correlated noise; flux and r_eff of the galaxy gain little, and their errors are less true
    fit_complex_model = option('false', 'true', 'auto', default='auto')  # Give the galaxy a second Sersic component with the same centre; auto: if it lowers chi-squared, in the noise that there is, by more than 11 per parameter
    """
        + STARS.spec
        + COMPANION_SPEC
        + PRIOR_SPEC
        + FINDER_SPEC
    )

    def process(self, input: Any) -> GalaxyModel:
        """Fit the base filter.

        Parameters
        ----------
        input : path-like or GalaxyModel

        Returns
        -------
        GalaxyModel
            With the base filter's fit, model images and stars; results of
            other filters, which rested on an earlier base, are dropped.
        """
        model = self.prepare_output(input)
        model.meta.base_filter = choose_base_filter(model.bands, self.base_filter)
        for band in model.bands.values():
            band.clear_results()
        model.joint = model.injections = None
        base = model.bands[model.meta.base_filter]
        model.meta.fit_step = None
        centre = target_centre(model, base)
        measured = try_fit(self.key, [base], self._fit, base, centre, raise_error=self.raise_error)
        if measured is None:
            self.skipped(model, base.reasons[-1])
            return model
        store(base, measured)
        self._share_place(model, base)
        note_passes(model, self.key, measured.history)
        model.meta.fit_step = "basefit"
        self._report(model, base)
        return model

    @staticmethod
    def _share_place(model, base):
        """What the base tells of the galaxy's place holds in every filter."""
        place = base.fit.flags & BandFlag.ELSEWHERE
        for band in model.bands.values():
            band.flags = band.flags & ~int(BandFlag.ELSEWHERE) | int(place)
            band.reasons = [reason for reason in band.reasons if reason != ELSEWHERE]
            if place:
                band.reasons.append(ELSEWHERE)

    def _fit(self, base, centre):
        priors = shape_priors(self, base)
        companions = given_companions(self.companions, base)
        sigma, psf = error_or_noise(base), effective_psf(base)
        first = robust_galaxy_fit(base.data, base.mask, sigma, psf, centre=centre)
        scene = scene_band(base, sky_order_for(base, self.sky_order, first))
        options = self._ladder_options()
        return fit_base(
            scene,
            first,
            options,
            two=self.fit_complex_model,
            priors=priors,
            annealing=self.use_dual_annealing,
            gls=self.gls,
            refit=self.allow_refit,
            companions=companions,
            find_companions=self.find_companions,
        )

    def _ladder_options(self):
        polish = {} if self.use_final_polish else {"final_iterations": 1}
        return STARS.options_of(self, fitter=self._fitter(), **polish)

    def _fitter(self):
        fitter = FITTERS[self.galaxy_fitter]
        # fits by windows or by groups ask for the plain one, see StarFitter
        in_parts = self.PSFPhotometry_fit_shape_in_fwhm or any(self.final_refit_fit_shape)
        if in_parts or not self.final_joint_refit:
            return fitter
        return Passes(self).each_fit(fitter)

    def _report(self, model, base):
        galaxy = base.fit.sersic[0]
        self.complete(
            model,
            filter=base.name,
            flux=galaxy.flux,
            r_eff=galaxy.params.r_eff,
            n=galaxy.params.n,
            stars=len(base.fit.stars),
            chi2=base.fit.chi2_reduced,
        )
