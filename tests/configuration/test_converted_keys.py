"""A key of a sphot configuration changes what its step hands to core, or what comes of it.

What the steps give to functions of ``galstep.core`` is noted, with the default and with
another value, on a small galaxy. The keys of [psf] are in ``tests/steps/test_star_options.py``.
"""

import sys
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import FunctionType

import numpy as np
import pytest

from galstep.configuration.sphot_keys import KEYS
from galstep.pipeline import GalPipeline
from galstep.steps import AperPhot, BaseFit, LoadCrop, PSFCalibrate, ScaleFit
from galstep.steps import aper_phot as aper_phot_module
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model

FILTERS = ("F150W", "F277W")
STEPS = {
    "loadcrop": LoadCrop, "basefit": BaseFit, "scalefit": ScaleFit,
    "psfcalibrate": PSFCalibrate, "aperphot": AperPhot,
}  # fmt: skip
# of these it is seen what they are given, not what they make of it
ENTRIES = ("fit_base", "fit_scaled", "calibrate_psf")
SCAN = {"fwhm_method": "scan"}
BESIDE_A_FIT = {"in_mainloop": True}

#: Key: another value, and what else is set with it and without it.
OTHER_VALUES = {
    "[prep] filters": (["F277W"], {}),
    "[prep] blur_psf": ({"F150W": 1.3}, {}),
    "[prep] custom_initial_crop": (0.6, {}),
    "[prep] sigma_guess": (2.0, {"x_guess": 5.0, "y_guess": 5.0, "auto_crop_factor": 1}),
    "[prep] auto_crop": (False, {"auto_crop_factor": 1}),
    "[prep] auto_crop_factor": (1.5, {}),
    "[core] base_filter": ("F277W", {}),
    "[core] iter_basefit": (3, {}),
    "[core] iter_scalefit": (7, {}),
    "[core] fit_complex_model": ("true", {}),
    "[core] allow_refit": (True, {}),
    "[core] mainloop_convergence_atol": (0.1, {}),
    "[core] mainloop_convergence_patience": (4, {}),
    "[core] mainloop_min_iter": (4, {}),
    "[core] use_dual_annealing": (True, {}),
    "[core] use_final_polish": (False, {}),
    "[psf-calib] in_mainloop": (True, {}),
    "[psf-calib] kernel_family": ("moffat", {}),
    "[psf-calib] kernel_anchor_K": (5, {}),
    "[psf-calib] kernel_fit_skip_on_convergence": (
        True, BESIDE_A_FIT | {"kernel_skip_threshold": 1e9}
    ),
    "[psf-calib] kernel_skip_threshold": (
        0.0, BESIDE_A_FIT | {"kernel_fit_skip_on_convergence": True}
    ),
    "[psf-calib] kernel_fit_objective": ("single_source", {}),
    "[psf-calib] kernel_fit_stamp_half_min": (5, {}),
    "[psf-calib] kernel_fit_stamp_half_in_sigmaeff": (5.0, {}),
    "[psf-calib] kernel_fit_max_neighbors": (3, {}),
    "[psf-calib] kernel_fit_neighbor_pad_pix": (1.0, {}),
    "[psf-calib] center_mask_r_in_fwhm": (5.0, {}),
    "[psf-calib] center_mask_r_in_galaxy_size": (4.0, {}),
    "[psf-calib] calib_xy_bounds": (0.1, {}),
    "[psf-calib] scan_method": ("nnls", SCAN),
    "[psf-calib] scan_metric": ("count", SCAN),
    "[psf-calib] scan_top_k": (7, SCAN),
    "[psf-calib] fwhm_method": ("scan", {}),
    "[aperture] petro": (0.3, {}),
    "[aperture] center_mask": (2.0, {}),
    "[aperture] isophot_base_filter": ("F277W", {}),
    "[aperture] isophot_frac_min": (0.2, {}),
    "[aperture] isophot_frac_max": (0.8, {}),
    "[aperture] fit_isophot_to": ("psf_sub_data", {}),
    "[aperture] measure_on": ("data", {}),
    "[aperture] error_on": ("data_error", {}),
    "[aperture] measure_sky_on": ("residual", {}),
    "[aperture] fill_max_nan_frac": (0.1, {}),
    "[aperture] fill_replace_with": ("sersic_modelimg", {}),
    "[aperture] PSF_corr_base_filter": ("F277W", {}),
}  # fmt: skip
# what is a file, or is looked at where the model is saved: tests of their own below
ON_THEIR_OWN = {"[prep] PSF_file", "[aperture] plot"}


@cache
def models():
    """A galaxy among stars, not fitted and fitted."""
    made = make_scene(3, (61, 61), 12, FILTERS, snr=200.0, psf_size=61, star_snr=(40, 300))
    fitted = fitted_model(made)
    fitted.meta.fit_step = "basefit"
    fitted.bands["F150W"].data[30, 31] = np.nan
    fitted.bands["F150W"].mask[30, 31] = True
    return unfitted_model(made), fitted


def digest(value, depth=4):
    """What can be compared, of numbers, texts and records of them."""
    if isinstance(value, np.ndarray):
        numbers = value[np.isfinite(value)] if value.dtype.kind == "f" else value
        total = f"{numbers.sum():.12g}" if value.dtype.kind in "fiub" else value.tolist()
        return value.shape, total
    if value is None or isinstance(value, str | int | float | bool | np.generic):
        return repr(value)
    if isinstance(value, partial):
        return "partial", digest(value.func), digest(value.args), digest(value.keywords)
    if isinstance(value, FunctionType | type):
        return value.__qualname__
    if depth and isinstance(value, list | tuple):
        return [digest(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {str(key): digest(item, depth - 1) for key, item in value.items()}
    if depth and is_dataclass(value):
        own = {field.name: digest(getattr(value, field.name), depth - 1) for field in fields(value)}
        return type(value).__name__, own
    return type(value).__name__


class Done(BaseException):
    """What was to be seen has been seen."""


def noted(step_class, parameters):
    """What a step with these parameters gives to core, and what its model then is."""
    unfitted, fitted = models()
    calls = []

    def noting(function):
        def call(*args, **kwargs):
            calls.append((function.__name__, digest(args), digest(kwargs)))
            if function.__name__ in ENTRIES and not parameters.get("in_mainloop"):
                raise Done
            return function(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("galstep.steps"):
                for own, value in list(vars(module).items()):
                    is_core = getattr(value, "__module__", "").startswith("galstep.core")
                    if is_core and isinstance(value, FunctionType):
                        patch.setattr(module, own, noting(value))
        least = {"min_crop_size": 11} if step_class is LoadCrop else {}
        step = step_class(**least, **parameters)
        step.save_results = False
        first = step_class in (LoadCrop, BaseFit) or (
            step_class is PSFCalibrate and not parameters.get("in_mainloop")
        )
        given = unfitted if first else fitted
        try:
            result = step.run(given)
        except Done:
            return calls
    bands = {name: (band.data.shape, band.origin, digest(band.psf_kernel))
             for name, band in result.bands.items()}  # fmt: skip
    return calls, bands, result.meta.base_filter


def targets():
    """(key, step class, parameter) of every key that is not on its own."""
    for key in KEYS:
        if key.section == "psf" or key.full_name in ON_THEIR_OWN:
            continue
        for candidate in key.candidates:
            step, _, name = candidate.partition(".")
            if step in STEPS:
                yield pytest.param(key, STEPS[step], name, id=f"{key.full_name} {step}")


@pytest.mark.parametrize(("key", "step", "name"), list(targets()))
def test_a_key_changes_what_core_is_given(key, step, name):
    value, with_it = OTHER_VALUES[key.full_name]
    assert noted(step, with_it | {name: value}) != noted(step, with_it)


@pytest.mark.parametrize("step", [LoadCrop, BaseFit, PSFCalibrate, AperPhot])
def test_without_a_change_nothing_differs(step):
    assert noted(step, {}) == noted(step, {})


def test_every_key_is_here():
    own = {key.full_name for key in KEYS if key.section != "psf"}
    assert own == {*OTHER_VALUES, *ON_THEIR_OWN}


@pytest.mark.parametrize("plot", [True, False])
def test_plot_is_seen_where_the_model_is_saved(plot, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        aper_phot_module, "write_beside", lambda model, path, pictures, **_: seen.append(pictures)
    )
    step = AperPhot(plot=plot)
    step.output_dir, step.save_results = str(tmp_path), True
    step.run(models()[1])
    assert seen == [["qa"] if plot else []]


def test_the_psf_file_is_read(toy_file, tmp_path):
    """Another file of PSFs, other PSFs."""
    pipeline = GalPipeline(steps={"loadcrop": {"psf_file": str(toy_file)}})
    assert pipeline.loadcrop.reading_options()["psf_file"] == str(toy_file)
