"""Parameters of the stars that BaseFit, ScaleFit and JointFit share.

What each means is written at the fields of `galstep.core.detection.ladder_options.LadderOptions` and
of the records in it. The names are those of the section ``[psf]`` of a sphot
configuration. Lengths in ``psfsigma`` are in units of the FWHM of the effective PSF / 2.3548.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from galstep.core.detection.finder import DaoFinder
from galstep.core.detection.ladder_options import LadderOptions, Thresholds
from galstep.core.detection.star_cuts import NO_CUTS, StarCuts
from galstep.steps.framework.option_spec import OptionSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.steps.framework.base import GalStep

__all__ = ["FINDER_SPEC", "LadderParameters", "cuts_of"]

_DAO = OptionSet(DaoFinder())

#: Section of a spec, to stand after all single parameters.
FINDER_SPEC = f"""
    [finder_kwargs]                             # Keywords of photutils' DAOStarFinder, for finder = dao
{_DAO.spec}"""


class LadderParameters:
    """The parameters of a step that say how stars are found, and the options they make.

    Parameters
    ----------
    thresholds, options : `galstep.steps.framework.option_spec.OptionSet`
        Of `galstep.core.detection.ladder_options.Thresholds` and of `LadderOptions`.
    """

    def __init__(
        self, thresholds: OptionSet[Thresholds], options: OptionSet[LadderOptions]
    ) -> None:
        self._thresholds, self._options = thresholds, options
        self.spec = thresholds.spec + options.spec

    def options_of(self, step: GalStep, options: Any = None, **others: Any) -> LadderOptions:
        """The ladder that a step's parameters ask for.

        Parameters
        ----------
        step : GalStep
        options : object, optional
            Where values are looked for first (`galstep.steps.galaxy.per_filter.for_filter`).
        **others
            Further fields of the options.

        Returns
        -------
        LadderOptions

        Raises
        ------
        ParameterError
            If a pair of numbers is not what its parameter needs.
        """
        made = self._options.record_of(step, options)
        thresholds = self._thresholds.record_of(step, options)
        refit, finder = made.refit, made.finder
        if isinstance(finder, DaoFinder):
            finder = _DAO.record_of(SimpleNamespace(**step.finder_kwargs))
        if not thresholds.search:  # rounds of the refit look for stars as well
            refit = replace(refit, iterations=0, leftover_iterations=0)
        # a fit to convergence is never shorter than that of a pass
        steps = min(made.max_iterations, made.final_iterations)
        return replace(
            made,
            **{
                "thresholds": thresholds.down_to(made.keep),
                "finder": finder,
                "refit": refit,
                "max_iterations": steps,
                **others,
            },
        )


def cuts_of(parameters: Mapping[str, Any]) -> StarCuts:
    """The cuts that the parameters of a step which has run ask for; none if it has no such."""
    return OptionSet(NO_CUTS).record_of(SimpleNamespace(**parameters))
