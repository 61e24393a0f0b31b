"""Figures: one function per figure, each returns a ``matplotlib.figure.Figure``.

=============  =====================================================
qa             `qa_figure`: the overview
profiles       `profile_figure`: radial profiles, data beside model
sed            `sed_figure`: magnitudes, beside published ones
stars          `star_figure`: colour-magnitude diagram
growth         `growth_figure`: curves of growth
convergence    `convergence_figure`: the main loops of the fits
completeness   `completeness_figure`: stars found and stars real, by S/N
=============  =====================================================

Importing this package needs matplotlib (the extra ``[plot]``); nothing touches
``matplotlib.pyplot`` or other global state.
"""

from galstep.plotting.completeness_figure import completeness_figure
from galstep.plotting.convergence_figure import convergence_figure
from galstep.plotting.growth_figure import growth_figure
from galstep.plotting.profile_figure import profile_figure
from galstep.plotting.qa import qa_figure
from galstep.plotting.sed import sed_figure
from galstep.plotting.star_figure import star_figure

__all__ = [
    "FIGURES",
    "completeness_figure",
    "convergence_figure",
    "growth_figure",
    "profile_figure",
    "qa_figure",
    "sed_figure",
    "star_figure",
]

#: What ends a picture's file name to the function that draws it.
FIGURES = {
    "qa": qa_figure,
    "profiles": profile_figure,
    "sed": sed_figure,
    "stars": star_figure,
    "growth": growth_figure,
    "convergence": convergence_figure,
    "completeness": completeness_figure,
}
