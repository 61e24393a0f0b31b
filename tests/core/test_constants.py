"""Every number that core has by a name says beside it where it comes from or what it is for."""

import ast
from pathlib import Path

import galstep.core

CORE = Path(galstep.core.__file__).parent
# What was without a word when this test was written; no new one may come.
STILL_BARE = {
    "align/match:LEAST_RADIUS",
    "align/match:N_REFINEMENTS",
    "calibration/disc_fit:STAMP_IN_FWHM",
    "calibration/field_stars:MAX_MOVE",
    "calibration/kernel_bootstrap:MIN_SNR",
    "calibration/kernel_bootstrap:THRESHOLDS",
    "calibration/kernel_scene:LEAST_STEP",
    "calibration/kernel_stars:FORCED_STEP_PRIOR",
    "calibration/kernel_stars:LEAST_FORCED_SNR",
    "calibration/kernel_verdict:GROWTH_STEPS",
    "calibration/library_width:LEAST_SIGMA",
    "calibration/library_width:MIN_ANCHORS",
    "calibration/psf_correction:LEAST_ANCHORS",
    "calibration/psf_correction:LEAST_RADIUS",
    "calibration/psf_discs:MAX_NEIGHBOURS",
    "calibration/psf_discs:MODEL_ERROR",
    "calibration/psf_discs:ROBUST",
    "calibration/psf_stack:FIT_IN_FWHM",
    "calibration/psf_stack:LEAST_RADIUS",
    "calibration/psf_stack:MODEL_ERROR",
    "calibration/psf_stack:RADIUS_IN_FWHM",
    "calibration/psf_stack:ROBUST",
    "calibration/psf_stack:SQUARE",
    "calibration/scene_kernel:POSITION_PRIOR",
    "detection/core_colours:CROWDED_ERROR",
    "detection/core_star:ITERATIONS",
    "detection/detect:MAX_TEMPLATES",
    "detection/detect:MIN_TEMPLATE_STARS",
    "detection/detect:TEMPLATE_SNR",
    "detection/ladder:MAX_FINAL_FITS",
    "detection/residual_noise:CLIP",
    "detection/residual_noise:MAX_EPS",
    "detection/residual_noise:MIN_BIN_PIXELS",
    "detection/residual_noise:MIN_EXCESS",
    "detection/residual_noise:QUANTILES",
    "detection/spikes:MARGIN",
    "detection/spikes:_BESIDE",
    "detection/spikes:_PHASES",
    "detection/spikes:_SKY_SIZE",
    "detection/structure:LOWER_SIGMA",
    "engine/bounds:_NEAR",
    "engine/covariance:N_NEIGHBOURS",
    "engine/normal:HOLD",
    "engine/normal:MIN_INFORMATION",
    "engine/priors:_VALUES",
    "engine/scene:MAX_CORE",
    "engine/shape_chi2:_RIDGE",
    "engine/simplex:_CENTRE_RANGE",
    "engine/simplex:_LEAST_EDGE",
    "engine/simplex:_SHRINK",
    "engine/solve:MAX_ELLIPTICITY_STEP",
    "engine/solve:MAX_GRADIENT_STEP",
    "engine/solve:MAX_LN_N_STEP",
    "engine/solve:MAX_LN_R_EFF_STEP",
    "engine/solve:MAX_SHIFT_STEP",
    "engine/solve:MAX_STAR_STEP",
    "engine/solve:MAX_TRIES",
    "engine/structure_fit:MAX_IN_R_EFF",
    "fitting/cutout:MIN_PEAK_SNR",
    "fitting/fits:PINNED",
    "fitting/galaxy_first:FIRST_CORE_IN_R_EFF",
    "fitting/galaxy_first:FREE_SHAPE_CLIPS",
    "fitting/gls:MAX_STEPS",
    "fitting/local_galaxy:ITERATIONS",
    "fitting/local_galaxy:START_R_EFF",
    "fitting/registration_prior:N_WIDTHS",
    "fitting/sky_order:BLOCK",
    "fitting/sky_order:MAX_WINGS",
    "fitting/sky_order:MIN_BLOCKS",
    "fitting/sky_order:MIN_COVERAGE",
    "fitting/wide_peaks:MAX_PEAKS",
    "imaging/periodic:_FAR_COPIES",
    "imaging/periodic:_FAR_NODES",
    "imaging/stars:_MATRIX_ENERGY",
    "imaging/stars:_MATRIX_HALF_SIZES",
    "imaging/structure_modes:MAX_ORDER",
    "injection/recovery:FAINT_SNR",
    "injection/recovery:ISOLATION_FLUX",
    "injection/recovery:LEAST_STARS",
    "measurement/matched:_N_ANGLES",
    "measurement/matched:_STEP",
    "measurement/measure:CROWDED_SHARE",
    "measurement/measure:FAINT_SNR",
    "measurement/measure_stars:MOVED_PIXELS",
    "measurement/measure_stars:POOR_CHI2",
    "noise/large_scales:STEEPEST",
    "noise/projection:N_DRAWS",
    "photometry/aperture_noise:SHRINKING",
    "population/colours:ROUNDS",
    "population/colours:SLOPE_WIDTH",
    "population/membership:MIN_WIDTH",
    "population/membership:ROUNDS",
    "psf/kernel_families:LEAST_RATIO",
    "psf/kernel_families:LN_SLOPE_RANGE",
    "psf/kernel_families:MAX_LOG_STEP",
    "psf/kernels:_N_PARAMETERS",
    "star_field/photometry:STEPS_PER_PASS",
}


def bare(path):
    """Names of the module's numeric constants without a comment on the line or above it."""
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign) or not has_number(node.value):
            continue
        own = "\n".join(lines[node.lineno - 1 : node.end_lineno]).replace("# fmt: skip", "")
        if "#" not in own and not lines[node.lineno - 2].lstrip().startswith("#"):
            targets = [t.id for t in ast.walk(node.targets[0]) if isinstance(t, ast.Name)]
            yield f"{path.relative_to(CORE).with_suffix('')}:{targets[0]}"


def has_number(value):
    """Whether a number other than True and False stands in an expression."""
    numbers = (n.value for n in ast.walk(value) if isinstance(n, ast.Constant))
    return any(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)


def test_no_number_without_a_word():
    found = {name for path in sorted(CORE.rglob("*.py")) for name in bare(path)}
    assert found - STILL_BARE == set(), "what is it, and where does it come from?"


def test_the_list_is_as_short_as_can_be():
    found = {name for path in sorted(CORE.rglob("*.py")) for name in bare(path)}
    assert STILL_BARE - found == set(), "these have a word now: take them off the list"
