"""Sources found on the stack of all bands of a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from galstep.steps.field.field_bands import core_bands

if TYPE_CHECKING:
    from galstep.core.field.detection import Detections
    from galstep.datamodels.field.field_model import FieldModel
    from galstep.steps.field.field_tasks import TaskRunner

__all__ = ["DetectionLimits", "detected"]


@dataclass(frozen=True)
class DetectionLimits:
    """What counts as a detection.

    Parameters
    ----------
    threshold : float
        Sigma.
    min_area : int
        Pixels.
    """

    threshold: float
    min_area: int


def detected(model: FieldModel, limits: DetectionLimits, run: TaskRunner) -> Detections:
    """Sources of a field, whatever its catalogue has.

    Parameters
    ----------
    model : FieldModel
        Needs no PSF.
    limits : DetectionLimits
    run : TaskRunner

    Returns
    -------
    `galstep.core.field.detection.Detections`
    """
    from galstep.core.field.detection import DetectOptions, detect

    # photutils is imported there, not before a detection is asked for
    options = DetectOptions(threshold=limits.threshold, min_area=limits.min_area)
    return detect(core_bands(model, need_psf=False), options, run)
