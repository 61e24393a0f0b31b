"""The steps composed: `GalPipeline` measures one galaxy, from file to products.

================  ==========================================================
``gal_pipeline``  `GalPipeline`
``base``          `GalPipelineBase`: steps replaced for a run, checked results
``summary``       the result as a few lines of text
``progress``      how far a run is, on a terminal
================  ==========================================================
"""

from galstep.pipeline.base import GalPipelineBase
from galstep.pipeline.gal_pipeline import GalPipeline

__all__ = ["GalPipeline", "GalPipelineBase"]
