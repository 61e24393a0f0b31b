"""The steps composed: `GalPipeline` measures one galaxy, `FieldPipeline` a field of many.

==================  ========================================================
``gal_pipeline``    `GalPipeline`
``field_pipeline``  `FieldPipeline`
``base``            `GalPipelineBase`: steps replaced for a run, checked results
``summary``         the result as a few lines of text
``progress``        how far a run is, on a terminal
==================  ========================================================
"""

from galstep.pipeline.base import GalPipelineBase
from galstep.pipeline.field_pipeline import FieldPipeline
from galstep.pipeline.gal_pipeline import GalPipeline

__all__ = ["FieldPipeline", "GalPipeline", "GalPipelineBase"]
