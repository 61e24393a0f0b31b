"""Synthetic galaxies with known truth, drawn independently of `galstep.core`.

================  ==========================================================
`scenes`          `make_scene`: galaxy, stars, sky and noise in any filters
`structured`      `make_structured`: bulge and disk, bar, arms, ring, dust, pair
`galaxies`        the kinds, drawn out of `parts`; `light` has what is no Sersic
`structured_set`  a set of them on disk; `structured_score` scores products
`grids`           pixels of another size and direction than the scene's
`psfs`            analytic effective PSFs
`real_space`      the renderer: cells, FFT, evaluated stars
`make_example`    makes the packaged examples (``python -m``)
`run_example`     runs one and prints the answer beside the truth (``python -m``)
================  ==========================================================
"""

from galstep.testing.psfs import GaussianMixturePSF, default_psf
from galstep.testing.scenes import SyntheticGalaxy, TruthScene, make_scene
from galstep.testing.structured import (
    StructuredGalaxy,
    StructuredTruth,
    make_bulge_disk,
    make_structured,
)

__all__ = [
    "GaussianMixturePSF",
    "StructuredGalaxy",
    "StructuredTruth",
    "SyntheticGalaxy",
    "TruthScene",
    "default_psf",
    "make_bulge_disk",
    "make_scene",
    "make_structured",
]
