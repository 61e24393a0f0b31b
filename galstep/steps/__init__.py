"""The stages of the measurement as ``stpipe`` Steps.

==================  ========================================================
`LoadCrop`          read the galaxy, cut out what is needed
`PSFCalibrate`      the kernel that makes the library PSF that of the image
`BaseFit`           galaxy, stars and sky in the base filter
`ScaleFit`          the other filters, shape held
`ForcedScaleFit`    the same, star positions held as well
`JointFit`          all filters at once
`Inject`            copies of the galaxy and stars put in and measured again
`AperPhot`          aperture photometry on what the stars leave
`TweakReg`          images aligned by their stars
`StarPhot`          PSF photometry of whole star fields
`LoadField`         images and catalogue of a field of many sources
`MaskField`         what of them is not used, reference stars, detection
`FieldPSF`          the PSF of each band by position
`FieldFit`          all sources in all bands, block by block
`ZeroPoint`         zero points and calibrated magnitudes
`GalStep`           what they have in common
==================  ========================================================
"""

from galstep.steps.aper_phot import AperPhot
from galstep.steps.base_fit import BaseFit
from galstep.steps.field_fit import FieldFit
from galstep.steps.field_psf import FieldPSF
from galstep.steps.forced_scale_fit import ForcedScaleFit
from galstep.steps.framework.base import GalStep
from galstep.steps.inject import Inject
from galstep.steps.joint_fit import JointFit
from galstep.steps.load_crop import LoadCrop
from galstep.steps.load_field import LoadField
from galstep.steps.mask_field import MaskField
from galstep.steps.psf_calibrate import PSFCalibrate
from galstep.steps.scale_fit import ScaleFit
from galstep.steps.star_phot import StarPhot
from galstep.steps.tweak_reg import TweakReg
from galstep.steps.zero_point import ZeroPoint

__all__ = [
    "AperPhot",
    "BaseFit",
    "FieldFit",
    "FieldPSF",
    "ForcedScaleFit",
    "GalStep",
    "Inject",
    "JointFit",
    "LoadCrop",
    "LoadField",
    "MaskField",
    "PSFCalibrate",
    "ScaleFit",
    "StarPhot",
    "TweakReg",
    "ZeroPoint",
]
