"""ZeroPoint: the zero point of each band from reference stars, and calibrated magnitudes."""

from __future__ import annotations

from typing import Any

import numpy as np

from galstep.core.field.zero_points import calibrated, zero_point
from galstep.datamodels.field.field_model import FieldModel
from galstep.exceptions import PrerequisiteError
from galstep.steps.field.field_step import FieldStep

__all__ = ["ZeroPoint"]


class ZeroPoint(FieldStep):
    """Measure the zero point of the fitted fluxes from reference stars; calibrate magnitudes.

    Only reliable stars count, outliers are clipped. A band without reference stars keeps the
    zero point of its header.

    ``galstep params zeropoint --all`` lists every parameter.
    """

    class_alias = "gal_zeropoint"

    spec = """
    clip_sigma = float(min=0.5, max=100, default=3.0)   # Stars farther from the median are dropped (robust standard deviations)
    clip_iterations = integer(min=0, max=100, default=10)  # Largest number of rounds of clipping; 0: none
    snr_min = float(min=0, max=1e6, default=10.0)       # Stars of lower S/N have no part
    error = option('mean', 'scatter', default='mean')   # Stated error of a zero point: of the mean, or the scatter of the stars
    error_in_magnitudes = boolean(default=False)        # Add the error of the zero point to that of every magnitude, though all share it
    limit_sigma = float(min=0.1, max=100, default=2.0)  # Errors of the upper limits, and below which a magnitude has one
    """

    def process(self, input: Any) -> FieldModel:
        """Measure zero points and calibrate.

        Parameters
        ----------
        input : path-like or FieldModel
            Fitted.

        Returns
        -------
        FieldModel

        Raises
        ------
        PrerequisiteError
            If it is not fitted.
        """
        model = self.prepare_output(input)
        if model.meta.fit_step is None:
            raise PrerequisiteError("ZeroPoint needs fitted fluxes: run FieldFit first")
        said = {}
        for name, band in model.bands.items():
            found = self._measured(model, name)
            # a start over: nothing of an earlier run stays
            band.zp, band.zp_err, band.zp_scatter, band.zp_n_stars = np.nan, np.nan, np.nan, 0
            if found is None or np.isnan(found.value):
                self._logger.warning("%s: no reference star, the header's zero point stays", name)
            else:
                by_scatter = self.error == "scatter" and np.isfinite(found.scatter)
                band.zp = found.value
                band.zp_err = found.scatter if by_scatter else found.error
                band.zp_scatter = found.scatter
                band.zp_n_stars = int(np.count_nonzero(found.kept))
                self._logger.info(
                    "%s: zero point %.4f +/- %.4f mag, %d of %d stars, scatter %.4f, chi2 %.3g",
                    name, band.zp, band.zp_err, band.zp_n_stars,
                    np.count_nonzero(np.isfinite(found.zero_points)), band.zp_scatter, found.chi2,
                )  # fmt: skip
                said[name] = f"{band.zp:.4f}"
            self._calibrate(model, name, band)
        self.complete(model, **said)
        return model

    def _measured(self, model, name):
        start = model.start
        magnitude = np.array(start[f"reference_mag_{name}"])
        if not np.isfinite(magnitude).any():
            return None
        table = model.catalog
        return zero_point(
            table[f"flux_{name}"].value,
            table[f"flux_{name}_err"].value,
            magnitude,
            np.array(start[f"reference_mag_{name}_err"]),
            np.asarray(table["reliable"]),
            self.snr_min,
            self.clip_sigma,
            self.clip_iterations,
        )

    def _calibrate(self, model, name, band):
        table = model.catalog
        zero = model.meta.zp_ref if np.isnan(band.zp) else band.zp
        error = band.zp_err if self.error_in_magnitudes and np.isfinite(band.zp_err) else 0.0
        columns = calibrated(
            table[f"flux_{name}"].value, table[f"flux_{name}_err"].value, zero, error,
            self.limit_sigma,
        )  # fmt: skip
        for end, values in zip(("", "_err", "_limit"), columns, strict=True):
            table[f"mag_{name}{end}"][:] = values * table[f"mag_{name}{end}"].unit
