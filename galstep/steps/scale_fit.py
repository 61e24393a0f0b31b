"""ScaleFit: the other filters, with the shape of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galstep.core.detection.ladder_options import LadderOptions, Thresholds
from galstep.core.fitting.fits import fit_scaled
from galstep.exceptions import ParameterError
from galstep.flags import BandFlag
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet, per_filter_spec
from galstep.steps.galaxy.passes import Passes
from galstep.steps.galaxy.per_filter import check_filters, for_filter
from galstep.steps.galaxy.scenes import fit_in_own_pixels, fitted_base, scaled_scene, store, try_fit
from galstep.steps.galaxy.star_options import FINDER_SPEC, LadderParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.core.measurement.measure import SceneMeasurement
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["ScaleFit", "fit_others", "next_star_id", "scaled_filters"]


_OWN_SPEC = """
    sky_order = option('auto', '0', '1', '2', default='auto')  # Degree of the sky polynomial: 0 constant, 1 plane, 2 quadratic; auto: a quadratic where the frame asks for it, else a plane. With a constant the star list runs away on real frames
    registration = boolean(default=True)        # Measure how far the filter is shifted against the base, from stars and galaxy
"""
_STARS = LadderParameters(
    OptionSet(
        Thresholds(),
        th_max={
            "default": 7.0,
            "help": "First detection threshold for stars that the base does not have (same unit)",
        },
        th_iter={"default": 2},
    ),
    OptionSet(
        # the galaxy's shape is given: no pass changes it
        LadderOptions(min_passes=0, patience=1, near_from=1),
        without=[
            "mainloop_convergence_atol",
            "mainloop_convergence_patience",
            "mainloop_min_iter",
            "star_colour_prior",
        ],
        iter_basefit={"name": "iter_scalefit", "default": 3, "least": 0},
    ),
)


class ScaleFit(GalStep):
    """Fit the other filters with shape and centre pinned to the base filter.

    Free are the galaxy's flux, the sky, the stars of the filter (the base's
    positions to begin with, then its own) and a small registration offset.

    ``galstep params scalefit --all`` lists every parameter.
    """

    class_alias = "gal_scalefit"

    spec = (
        """
    filters = force_list(default=None)          # Filters to fit (default: all but the base and those that ForcedScaleFit is given)
    """
        + _OWN_SPEC
        + _STARS.spec
        + FINDER_SPEC
        + """
    [per_filter]                                # Other values for single filters, by the filter's name: per_filter: {F160W: {th_min: 6}}
    [[__many__]]
    """
        + per_filter_spec(_OWN_SPEC + _STARS.spec)
    )

    def process(self, input: Any) -> GalaxyModel:
        """Fit each filter in turn.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With a base fit.

        Returns
        -------
        GalaxyModel
        """
        model = self.prepare_output(input)
        base = fitted_base(model, "ScaleFit")
        check_filters(self, model, self._logger)

        def fit(band):
            options = for_filter(self, band.name)

            def own(base_fit):
                scene = scaled_scene(band, base_fit, options.sky_order)
                first = next_star_id(model)
                ladder = self._ladder_options(options)
                return fit_scaled(scene, base_fit, ladder, options.registration, first)

            return fit_in_own_pixels(band, base, own)

        names = self.filters or self._others(model)
        fitted = fit_others(
            self.key,
            "scalefit",
            model,
            names,
            fit,
            self.raise_error,
            Passes(self, of=len(names)).tell,
        )
        self.complete(model, fitted=fitted)
        return model

    def _ladder_options(self, options):
        return _STARS.options_of(self, options)

    def _others(self, model):
        """All filters but the base and those left to ForcedScaleFit."""
        forced = getattr(self.parent, "forcedscalefit", None)
        forced = [] if forced is None or forced.skip else getattr(forced, "filters", None) or []
        return [name for name in model.bands if name not in (model.meta.base_filter, *forced)]


def scaled_filters(model: GalaxyModel, names: Sequence[str]) -> list[BandData]:
    """The usable bands of these names, never the base; the others are flagged.

    Raises
    ------
    ParameterError
        If a name is not among the model's filters.
    """
    missing = [name for name in names if name not in model.bands]
    if missing:
        raise ParameterError(
            f"filters: {', '.join(missing)} not in the model, which has {', '.join(model.bands)}"
        )
    usable = []
    for band in (model.bands[name] for name in names if name != model.meta.base_filter):
        if band.usable:
            usable.append(band)
        elif not band.flags & BandFlag.NO_DATA:
            band.flags |= int(BandFlag.NO_DATA)
            band.reasons.append("no usable pixel")
    return usable


def next_star_id(model: GalaxyModel) -> int:
    """A number above that of every star in the model."""
    lists = (s for b in model.bands.values() if b.fitted for s in (b.fit.stars, b.fit.knots))
    highest = [int(listed.star_id.max(initial=0)) for listed in lists]
    return max(highest, default=0) + 1


def fit_others(
    step: str,
    kind: str,
    model: GalaxyModel,
    names: Sequence[str],
    fit: Callable[[BandData], SceneMeasurement],
    raise_error: bool = False,
    tell: Callable[[str], None] | None = None,
) -> str:
    """Fit filters other than the base, one after the other.

    Parameters
    ----------
    step, kind : str
        Key of the step that runs, for reasons, and what to note as the
        model's last fit.
    model : GalaxyModel
        Changed in place; a joint fit of earlier results is dropped.
    names : sequence of str
        The filters.
    fit : callable
        ``fit(band)`` returns a `galstep.core.measurement.measure.SceneMeasurement`.
    raise_error : bool, optional
        See `galstep.steps.galaxy.scenes.try_fit`.
    tell : callable, optional
        Called with a line of text for every filter that is fitted.

    Returns
    -------
    str
        What was fitted, for the log.
    """
    fitted = []
    for band in scaled_filters(model, names):
        measured = try_fit(step, [band], fit, band, raise_error=raise_error)
        if measured is not None:
            store(band, measured)
            fitted.append(f"{band.name} {len(band.fit.stars)} stars")
            if tell is not None:
                tell(f"{fitted[-1]}, chi2 {band.fit.chi2_reduced:.3f}")
    model.meta.fit_step = kind
    model.joint = None
    return "; ".join(fitted) or "no filter"
