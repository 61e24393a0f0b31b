"""A kernel from the whole scene, beside the one from the anchors: which is quoted.

The scene knows more, the anchors are safer (`galstep.core.calibration.kernel_scene`). The
two are estimates of the same from data that overlap; where the frame is what
the model says, they agree within the anchors' error (Hausman 1978, Econometrica
46, 1251: an efficient estimate is tested with a robust one). Then, and if its
own error is smaller, the scene's is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.kernel_scene import KernelScene, fit_kernel_scene
from galstep.core.detection.ladder import known_variance
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState
from galstep.core.fitting.fits import shape_bounds
from galstep.core.psf.kernel_families import n_free, variance, with_covariance

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand
    from galstep.core.fitting.galaxy_first import GalaxyFirst
    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import PsfKernel

__all__ = ["SceneKernel", "kernel_in_scene"]

# The two kernels contradict one another if they differ by so many errors.
CONTRADICTION = 3.0
POSITION_PRIOR = 0.3


@dataclass(frozen=True, eq=False)
class SceneKernel:
    """What came of it.

    Parameters
    ----------
    kernel : galstep.records.PsfKernel
        The one that is quoted, but for its ``fwhm``.
    scene : KernelScene
        The fit.
    taken : bool
        Whether the quoted kernel is the scene's.
    """

    kernel: PsfKernel
    scene: KernelScene
    taken: bool

    @property
    def stars(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, y, flux) of the scene's stars."""
        state = self.scene.solution.state
        return state.x, state.y, state.star_flux[0]


def kernel_in_scene(
    band: SceneBand,
    library: EffectivePSF,
    kernel: PsfKernel,
    first: GalaxyFirst,
    stars: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> SceneKernel:
    """Fit a filter's scene with the kernel free, and judge.

    Parameters
    ----------
    band : galstep.core.engine.scene.SceneBand
        With the PSF of ``kernel``.
    library : galstep.core.psf.effective.EffectivePSF
    kernel : galstep.records.PsfKernel
        That of the anchors, with errors.
    first : galstep.core.fitting.galaxy_first.GalaxyFirst
        The galaxy before any star was found.
    stars : (x, y, flux), optional
        Stars of another filter, in these pixels, to start from.

    Returns
    -------
    SceneKernel

    Raises
    ------
    numpy.linalg.LinAlgError
        If the normal equations are singular.
    """
    bounds, freedom = shape_bounds(band.shape), Freedom(position_prior=POSITION_PRIOR)
    shape = bounds.clip(first.params.to_vector())
    state = SceneState.start([band], [shape], [[first.flux]], [first.sky_coefficients])
    if stars is not None:
        x, y, flux = stars
        state = state.with_stars(x, y, np.atleast_2d(flux))
    found = run_ladder([band], state, freedom, ONE_PASS, bounds, known_variance([band]))
    scene = fit_kernel_scene(found.bands[0], library, kernel, found.solution.state, freedom, bounds)
    covariance = max(scene.covariance, scene.sandwich, key=np.trace)
    own, error = _size(scene.kernel), _error(scene.kernel, covariance)
    anchors, anchors_error = _size(kernel), _error(kernel, _covariance(kernel))
    apart = abs(own - anchors) / np.hypot(error, anchors_error)
    if scene.converged and error < anchors_error and apart < CONTRADICTION:
        return SceneKernel(with_covariance(scene.kernel, covariance), scene, True)
    reason = f"kernel of the anchors: that of the scene has sigma {own:.3f} +- {error:.3f} px, "
    reason += f"theirs {anchors:.3f} +- {anchors_error:.3f} px"
    reason = "; ".join(filter(None, [kernel.reason, reason]))
    return SceneKernel(replace(kernel, reason=reason), scene, False)


def _size(kernel):
    """Sigma per axis, pixels."""
    return float(np.sqrt(max(variance(kernel), 0.0)))


def _covariance(kernel):
    n = n_free(kernel.family)
    if kernel.covariance:
        return np.reshape(kernel.covariance, (n, n))
    return np.diag(np.square(kernel.errors[:n]))


def _error(kernel, covariance):
    """1 sigma of `_size`."""
    step, sizes = 1e-4, []
    for axis in step * np.eye(len(covariance)):
        moved = np.array(kernel.parameters)
        moved[: len(axis)] += axis
        sizes.append(_size(replace(kernel, parameters=tuple(moved))))
    gradient = (np.array(sizes) - _size(kernel)) / step
    return float(np.sqrt(gradient @ covariance @ gradient))
