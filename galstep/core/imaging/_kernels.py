"""The inner loops: compiled by numba where it is installed, numpy otherwise.

Both modules define the same functions with the same arguments and give the
same numbers; the docstrings are in `galstep.core.imaging._kernels_numpy`.
"""

from importlib.util import find_spec

COMPILED = find_spec("numba") is not None

if COMPILED:
    from galstep.core.imaging._kernels_numba import (
        add_stamps,
        correlate_small,
        fill_spectra,
        gram,
        make_stamps,
        peak_pixels,
        project_stamps,
        project_stars,
        render_stars,
        solve_blocks,
        sum_profiles,
        weight_stamps,
        weighted_products,
    )
else:
    from galstep.core.imaging._kernels_numpy import (
        add_stamps,
        correlate_small,
        fill_spectra,
        gram,
        make_stamps,
        peak_pixels,
        project_stamps,
        project_stars,
        render_stars,
        solve_blocks,
        sum_profiles,
        weight_stamps,
        weighted_products,
    )

__all__ = [
    "COMPILED",
    "add_stamps",
    "correlate_small",
    "fill_spectra",
    "gram",
    "make_stamps",
    "peak_pixels",
    "project_stamps",
    "project_stars",
    "render_stars",
    "solve_blocks",
    "sum_profiles",
    "weight_stamps",
    "weighted_products",
]
