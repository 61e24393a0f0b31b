"""Synthetic galaxies with known truth, drawn independently of `galstep.core`.

================  ==========================================================
`scenes`          `make_scene`: galaxy, stars, sky and noise in any filters
`grids`           pixels of another size and direction than the scene's
`psfs`            analytic effective PSFs
`real_space`      the renderer: cells, FFT, evaluated stars
`make_example`    makes the packaged example (``python -m``)
`run_example`     runs it and prints the answer beside the truth (``python -m``)
================  ==========================================================
"""

from galstep.testing.psfs import GaussianMixturePSF, default_psf
from galstep.testing.scenes import SyntheticGalaxy, TruthScene, make_scene

__all__ = ["GaussianMixturePSF", "SyntheticGalaxy", "TruthScene", "default_psf", "make_scene"]
