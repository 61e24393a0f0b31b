"""JointFit: all filters at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galstep.core.detection.ladder_options import ONE_PASS, Thresholds
from galstep.core.detection.star_cuts import NO_CUTS
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting.joint import fit_joint
from galstep.records import JointSummary
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet
from galstep.steps.galaxy.convergence import note_passes
from galstep.steps.galaxy.galaxy_options import PRIOR_SPEC, shape_priors
from galstep.steps.galaxy.passes import Passes
from galstep.steps.galaxy.scenes import fitted_base, scene_band, store, try_fit
from galstep.steps.galaxy.star_options import LadderParameters, cuts_of

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["JointFit"]

# what the filters have shown alone is known: see `galstep.core.detection.ladder_options.ONE_PASS`
STARS = LadderParameters(
    OptionSet(
        Thresholds(),
        find_stars={
            "help": "Look for stars that no filter has shown alone; false: only those that the "
            "filters have are fitted"
        },
        th_max={
            "default": 6.0,
            "help": "First detection threshold for stars that no filter has shown alone (same "
            "unit)",
        },
        th_iter={"default": 2},
    ),
    OptionSet(
        ONE_PASS,
        only=[
            "th_min",
            "th_near",
            "model_structure",
            "star_density",
            "iter_basefit",
            "robust",
            "robust_scale",
            "star_colour_prior",
        ],
        th_min={
            "default": 4.5,
            "help": "Lowest detection threshold (sigma of the combined matched-filter map, "
            "unresolved stars included)",
        },
        model_structure={
            "help": "Model what the galaxy departs from its profiles by (arms, bar, ring, dust), "
            "in each filter by modes on its own ellipse of which the data decide how strong they "
            "are"
        },
        iter_basefit={
            "name": "iter_jointfit",
            "default": 1,
            "least": 0,
            "help": "Largest number of passes at the lowest threshold",
        },
        star_density={
            "help": "Largest number of stars per noise area of the sharpest PSF (1 / sum of P "
            "squared)"
        },
        star_colour_prior={"default": True},
    ),
)


class JointFit(GalStep):
    """Fit all filters together: one shape, one star list, everything free.

    A star seen in any filter is fitted in all, and a faint one may show only in
    their sum. The errors and the covariances between filters come from here.

    ``galstep params jointfit --all`` lists every parameter.
    """

    class_alias = "gal_jointfit"

    spec = (
        """
    sky_order = option('auto', '0', '1', '2', default='auto')  # Degree of the sky polynomial: 0 constant, 1 plane, 2 quadratic; auto: the highest that any filter was fitted with. With a constant the star list runs away on real frames
    registration = boolean(default=True)        # Fit the shift of every filter against the base
    star_cuts = option('basefit', 'none', default='basefit')  # The cuts on stars at the end: those of BaseFit (cuts_...), of which a star must fail one in every filter that shows it, or none
    gls = boolean(default=False)                # Last steps weighted with the measured covariance of the noise: better star fluxes, positions and centre in correlated noise; flux and r_eff of the galaxy gain little, and their errors are less true
    shape_freedom = option('pinned', 'r_eff', 'n', 'r_eff+n', 'all', 'auto', default='auto')  # What of the galaxy's shape changes with wavelength, linearly in its logarithm (all: ellipticity and angle too); auto: what lowers chi-squared, in the noise that there is, by more than 11 per parameter
    fit_complex_model = option('false', 'true', 'auto', default='false')  # Give a galaxy that has one Sersic component a second with the same centre; auto: if it lowers chi-squared, in the noise that there is, by more than 11 per parameter. A galaxy to which BaseFit gave two keeps them, unless all filters together show that one of them stands in for the sky: most of its light off the frame
    """
        + STARS.spec
        + PRIOR_SPEC
    )

    def process(self, input: Any) -> GalaxyModel:
        """Fit all filters that have been fitted singly.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With a base fit, and with the fits of the other filters.

        Returns
        -------
        GalaxyModel
        """
        model = self.prepare_output(input)
        base = fitted_base(model, "JointFit")
        bands = [band for band in model.bands.values() if band.fitted]
        names = [band.name for band in bands]
        measured = try_fit(
            self.key,
            bands,
            fit_joint,
            [scene_band(band, self._sky_order(bands), base) for band in bands],
            [band.fit for band in bands],
            names.index(model.meta.base_filter),
            self._ladder_options(model.meta.parameters.get("basefit", {})),
            self.registration,
            two=self.fit_complex_model,
            shape_freedom=self.shape_freedom,
            priors=shape_priors(self, base),
            gls=self.gls,
        )
        if measured is None:
            self.skipped(model, bands[0].reasons[-1])
            return model
        for index, band in enumerate(bands):
            store(band, measured, index)
        model.joint = JointSummary(
            filters=tuple(names),
            flux_covariance=measured.flux_covariance,
            chi2=measured.chi2,
            n_iterations=measured.n_iterations,
            n_passes=len(measured.history),
            matched_covariance=measured.matched_covariance,
            shape_freedom=measured.shape_freedom,
            n_components=len(measured.fits[0].target),
        )
        note_passes(model, self.key, measured.history)
        model.meta.fit_step = "jointfit"
        self._report(model, base.fit)
        return model

    def _sky_order(self, bands):
        if self.sky_order != "auto":
            return int(self.sky_order)
        return max(band.fit.sky.order for band in bands)

    def _ladder_options(self, base_parameters):
        cuts = cuts_of(base_parameters) if self.star_cuts == "basefit" else NO_CUTS
        return STARS.options_of(self, cuts=cuts, fitter=Passes(self).each_fit(fit_scene))

    def _report(self, model, fit):
        galaxy = fit.sersic[0]
        self.complete(
            model,
            filters=len(model.joint.filters),
            stars=len(fit.stars),
            r_eff=galaxy.params.r_eff,
            r_eff_err=galaxy.r_eff_err,
            n=galaxy.params.n,
            n_err=galaxy.n_err,
            iterations=model.joint.n_iterations,
        )
