"""galstep: galaxies measured through crowded star fields.

One model of the scene (galaxy, stars and sky, convolved with the effective
PSF) is fitted by one engine, filter by filter and to all filters at once.

==================  =====================================================
``galstep.core``    how it is computed: arrays and records in and out
``galstep.datamodels``  what travels: `GalaxyModel`, its readers and writers
``galstep.steps``   the stages as ``stpipe`` Steps
``galstep.pipeline``    ``GalPipeline``: the stages composed
``galstep.plotting``    one function per figure
``galstep.testing``     synthetic galaxies with known truth
==================  =====================================================
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("galstep")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
