"""ForcedScaleFit: fluxes at positions that are known already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from galstep.core.fitting.fits import fit_forced
from galstep.core.fitting.forced_fit import ForcedFit
from galstep.core.fitting.forced_list import flagged, forced_rows
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet, per_filter_spec
from galstep.steps.galaxy.forced_positions import TargetFinder
from galstep.steps.galaxy.grids import pixel_map_between
from galstep.steps.galaxy.per_filter import check_filters, for_filter
from galstep.steps.galaxy.scenes import (
    effective_psf,
    fit_in_own_pixels,
    fitted_base,
    scaled_scene,
    try_fit,
)
from galstep.steps.scale_fit import fit_others, next_star_id

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["ForcedScaleFit"]

HOW = OptionSet(ForcedFit())
_OWN_SPEC = f"""    positions_from = string(default='base')     # Whose stars: base, joint (after JointFit), the name of a filter that is fitted, or none (of the catalog alone)
    catalog = string(default=None)              # Table of positions (ECSV, CSV, FITS, VOTable, ascii) that are measured beside those; a listed star within half a FWHM of one is that star
    catalog_ra = string(default=None)           # Column of right ascension in it (default: guessed; degrees, or the column's unit)
    catalog_dec = string(default=None)          # Column of declination
    catalog_x = string(default=None)            # Column of x, pixels of the base filter's input frame (default: guessed where there is no sky position)
    catalog_y = string(default=None)            # Column of y
    catalog_id = string(default=None)           # Column of ids, kept in the table forced (default: guessed, else the number of the row)
    catalog_origin = integer(min=0, max=1, default=0)  # What the first pixel is called in catalog_x and catalog_y: 0, or 1 as in FITS and ds9
{HOW.spec}    n_sigma_limit = float(min=0.1, max=100, default=3.0)  # Number of errors of the upper limits
    sky_order = option('auto', '0', '1', '2', default='auto')  # Degree of the sky polynomial: 0 constant, 1 plane, 2 quadratic; auto: a quadratic where the frame asks for it, else a plane. With a constant the star list runs away on real frames
    registration = boolean(default=True)        # Measure how far the filter is shifted against the base, from stars and galaxy
"""


class ForcedScaleFit(GalStep):
    """Fit the named filters with shape and star positions that are known.

    Nothing is detected. Every given position has a flux, also below zero, with its
    error and where it is not detected an upper limit, so that the fluxes of a star
    can be compared between filters.

    ``galstep params forcedscalefit --all`` lists every parameter.
    """

    class_alias = "gal_forcedscalefit"

    spec = f"""
    filters = force_list(default=None)          # Filters to fit in this way (default: none)
{_OWN_SPEC}    [per_filter]                                # Other values for single filters, by the filter's name: per_filter: {{F160W: {{mode: nonnegative}}}}
    [[__many__]]
{per_filter_spec(_OWN_SPEC)}    """

    def process(self, input: Any) -> GalaxyModel:
        """Fit each named filter in turn.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With a base fit.

        Returns
        -------
        GalaxyModel
            With a fit and ``forced`` in each of them. In the base filter, which
            the others rest on, the fit stays as it was.

        Raises
        ------
        PrerequisiteError
            If there is no base fit, or none whose stars are asked for.
        InputError, ParameterError
            If the catalogue or its columns cannot be used.
        """
        model = self.prepare_output(input)
        if not self.filters:
            self.complete(model, fitted="no filter (none named)")
            return model
        base = fitted_base(model, "ForcedScaleFit")
        check_filters(self, model, self._logger)
        finder = TargetFinder(model, next_star_id(model), self._logger)
        targets = {name: self._targets(finder, model, name) for name in self._usable(model)}

        def fit(band):
            return self._fit(band, base, targets[band.name])

        fitted = fit_others(self.key, "forcedscalefit", model, self.filters, fit)
        if base.name in targets:
            measured = try_fit(self.key, [base], fit, base)
            fitted += "" if measured is None else f"; {base.name} {len(base.forced)} positions"
        self.complete(model, fitted=fitted)
        return model

    def _usable(self, model):
        return [n for n in self.filters if n in model.bands and model.bands[n].usable]

    def _targets(self, finder, model, name):
        band, options = model.bands[name], for_filter(self, name)
        pixel_map, _ = pixel_map_between(finder.base, band)
        return finder.targets(options, effective_psf(band).fwhm / pixel_map.scale)

    def _fit(self, band, base, targets):
        """Fit a filter and leave the rows of the positions in it."""
        options = for_filter(self, band.name)
        how = HOW.record_of(options)

        def own(base_fit):
            scene = scaled_scene(band, base_fit, options.sky_order)
            # the base filter is what a registration refers to
            return fit_forced(scene, base_fit, options.registration and band is not base, how)

        measured = fit_in_own_pixels(band, targets.as_base(base), own)
        given = targets.given.mapped(_landing(measured.fits[0]))
        measured, stars = _with_flags(measured, given, how, options.n_sigma_limit)
        band.forced = forced_rows(given, stars, how, options.n_sigma_limit, targets.source)
        return measured


def _landing(fit):
    """Where positions of the base land in the filter's pixels, by its fit."""
    dx, dy = fit.offset
    return lambda x, y: fit.pixel_map.points(x + dx, y + dy)


def _with_flags(measured, given, how, n_sigma):
    """The measurement with its stars flagged, and these."""
    stars = flagged(measured.fits[0].stars, given, how, n_sigma)
    return replace(measured, fits=[replace(measured.fits[0], stars=stars)]), stars
