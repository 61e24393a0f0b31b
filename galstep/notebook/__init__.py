"""galstep from a notebook: arrays in, tables and pictures out, no files.

==================  =====================================================
``galaxy``          `fit`: one galaxy, in one filter or several
``star_field``      `fit_stars`: the stars of an image
``results``         what they return
``images``          arrays and what belongs to them, as the one door takes them
``psfs``            PSFs with their sampling
``keywords``        parameters of steps as keywords
``messages``        what the log would say, kept
==================  =====================================================

All that is here is shorthand: images are read by `galstep.datamodels.input.open`, PSFs by
`galstep.datamodels.psf.psf_input`, the work is that of `galstep.pipeline.GalPipeline` and
`galstep.steps.StarPhot`, with their parameters.
"""

from galstep.notebook.galaxy import fit, read
from galstep.notebook.results import FitResult, StarFieldResult
from galstep.notebook.star_field import fit_stars

__all__ = ["FitResult", "StarFieldResult", "fit", "fit_stars", "read"]
