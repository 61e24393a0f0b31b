"""galstep: galaxies measured through crowded star fields.

One model of the scene (galaxy, stars and sky, convolved with the effective
PSF) is fitted by one engine, filter by filter and to all filters at once.

In a notebook::

    import galstep

    result = galstep.fit(image, psf, oversample=4, err=err)
    result.galaxy, result.stars
    result.plot()

==================  =====================================================
``galstep.fit``     a galaxy, from arrays to tables; ``galstep.fit_stars`` a
                    star field, ``galstep.fit_field`` stars and galaxies of a
                    field in several bands, ``galstep.read`` what was saved
``galstep.core``    how it is computed: arrays and records in and out
``galstep.datamodels``  what travels: `GalaxyModel`, its readers and writers
``galstep.steps``   the stages as ``stpipe`` Steps
``galstep.pipeline``    ``GalPipeline``, ``FieldPipeline``: the stages composed
``galstep.plotting``    one function per figure
``galstep.testing``     synthetic galaxies with known truth
==================  =====================================================
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("galstep")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

# imported when they are asked for: stpipe and scipy take a second or two
_LAZY = {
    "fit": "galstep.notebook",
    "fit_field": "galstep.notebook",
    "fit_stars": "galstep.notebook",
    "read": "galstep.notebook",
    "FieldModel": "galstep.datamodels.field.field_model",
    "GalaxyModel": "galstep.datamodels",
}

__all__ = ["FieldModel", "GalaxyModel", "__version__", "fit", "fit_field", "fit_stars", "read"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'galstep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
