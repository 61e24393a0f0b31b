"""ForcedScaleFit: filters too blurred to find their own stars in."""

from galstep.core.fits import fit_forced
from galstep.steps.base import GalStep
from galstep.steps.per_filter import check_filters, for_filter
from galstep.steps.scale_fit import fit_others
from galstep.steps.scenes import fit_in_own_pixels, fitted_base, scaled_scene

__all__ = ["ForcedScaleFit"]


class ForcedScaleFit(GalStep):
    """Fit the named filters with shape and star positions of the base filter.

    Nothing is detected. Every star of the base is given a flux, also below
    zero, so that the fluxes of a star can be compared between filters.
    """

    class_alias = "gal_forcedscalefit"

    spec = """
    filters = force_list(default=None)          # Filters to fit in this way (default: none)
    sky_order = option('auto', '0', '1', '2', default='auto')  # Degree of the sky polynomial: 0 constant, 1 plane, 2 quadratic; auto: a quadratic where the frame asks for it, else a plane. With a constant the star list runs away on real frames
    registration = boolean(default=True)        # Measure how far the filter is shifted against the base, from stars and galaxy
    [per_filter]                                # Other values for single filters, by the filter's name: per_filter: {F160W: {sky_order: '1'}}
    [[__many__]]
    sky_order = option('auto', '0', '1', '2', default=None)  # sky_order of this filter
    registration = boolean(default=None)        # registration of this filter
    """

    def process(self, input):
        """Fit each named filter in turn.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With a base fit.

        Returns
        -------
        GalaxyModel
        """
        model = self.prepare_output(input)
        if not self.filters:
            self.complete(model, fitted="no filter (none named)")
            return model
        base = fitted_base(model, "ForcedScaleFit")
        check_filters(self, model, self._logger)

        def fit(band):
            options = for_filter(self, band.name)

            def own(base_fit):
                scene = scaled_scene(band, base_fit, options.sky_order)
                return fit_forced(scene, base_fit, options.registration)

            return fit_in_own_pixels(band, base, own)

        fitted = fit_others(self.key, "forcedscalefit", model, self.filters, fit)
        self.complete(model, fitted=fitted)
        return model
