"""What galstep registers with stpipe and asdf: names only, nothing heavy.

Every ``strun`` of any package imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["get_resource_mappings", "get_steps"]


def get_steps() -> list[tuple[str, str, bool]]:
    """The Steps that ``strun`` knows by an alias.

    Returns
    -------
    list of (str, str, bool)
        Class, alias, and whether it is a pipeline.
    """
    return [
        ("galstep.pipeline.GalPipeline", "gal_pipeline", True),
        ("galstep.hooks.Measure", "gal_measure", False),
        ("galstep.steps.LoadCrop", "gal_loadcrop", False),
        ("galstep.steps.PSFCalibrate", "gal_psfcalibrate", False),
        ("galstep.steps.BaseFit", "gal_basefit", False),
        ("galstep.steps.ScaleFit", "gal_scalefit", False),
        ("galstep.steps.ForcedScaleFit", "gal_forcedscalefit", False),
        ("galstep.steps.JointFit", "gal_jointfit", False),
        ("galstep.steps.Inject", "gal_inject", False),
        ("galstep.steps.AperPhot", "gal_aperphot", False),
        ("galstep.steps.TweakReg", "gal_tweakreg", False),
        ("galstep.steps.StarPhot", "gal_starphot", False),
        ("galstep.pipeline.FieldPipeline", "gal_field", True),
        ("galstep.steps.LoadField", "gal_loadfield", False),
        ("galstep.steps.MaskField", "gal_maskfield", False),
        ("galstep.steps.FieldPSF", "gal_fieldpsf", False),
        ("galstep.steps.FieldFit", "gal_fieldfit", False),
        ("galstep.steps.ZeroPoint", "gal_zeropoint", False),
    ]


def get_resource_mappings() -> list[Mapping]:
    """The schemas of the ASDF products, for asdf's registry."""
    from galstep.schemas import resource_mappings

    return resource_mappings()
