"""One Sersic galaxy fitted by several programs: what `galaxy_fit.py` compares.

Every fitter takes a `Problem` and returns an `Answer`. All fit seven parameters
of the galaxy and a constant sky with the noise known, from the same start. The
peers get the PSF as their users give it: on the pixels of the image, whole, or
cut to ``SMALL_PSF`` pixels for pyimfit, which is much faster with it. galstep
gets it as it has it, oversampled and whole.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from astropy.modeling.models import Sersic2D
from scipy.optimize import least_squares
from scipy.signal import fftconvolve

from galstep.core.detection.ladder import LadderOptions
from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.shape_chi2 import ShapeChi2
from galstep.core.engine.simplex import fit_simplex
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging.sersic import amplitude, total_flux
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams

SMALL_PSF = 81
BOUNDS = ShapeBounds(r_eff=(0.5, 80.0))
FREE = Freedom(positions=False)
# as the last fit of BaseFit
TOLERANCE = LadderOptions().final_tolerance


@dataclass(frozen=True, eq=False)
class Problem:
    """An image and where to start.

    ``flux`` is that of the start; ``sigma`` the noise of every pixel.
    """

    data: np.ndarray
    sigma: float
    psf: EffectivePSF
    start: SersicParams
    flux: float
    band: object = None
    native_psf: np.ndarray = field(default=None, repr=False)

    @classmethod
    def of(cls, data, sigma, psf, start, flux):
        """With all that is made once per PSF and frame."""
        mask = np.zeros(data.shape, dtype=bool)
        band = make_band("", data, mask, psf, np.full(data.shape, sigma), sky_order=0)
        return cls(data, sigma, psf, start, flux, band, native(psf))


@dataclass(frozen=True)
class Answer:
    """What a fit found; ``n_evaluations`` counts images of the model."""

    params: SersicParams
    flux: float
    chi2: float
    n_evaluations: int


def native(psf):
    """The PSF at the centres of native pixels, normalised."""
    factor, half = psf.oversample, int(min(psf.centre)) // psf.oversample
    centre = psf.array.shape[0] // 2, psf.array.shape[1] // 2
    rows, columns = (c + factor * np.arange(-half, half + 1) for c in centre)
    cut = psf.array[np.ix_(rows, columns)]
    return cut / cut.sum()


def _answer(solution, n_evaluations):
    state = solution.state
    params = SersicParams.from_vector(state.shapes[0])
    return Answer(params, float(state.galaxy_flux[0, 0]), float(solution.chi2), n_evaluations)


def _begin(problem):
    shape = problem.start.to_vector()
    return SceneState.start([problem.band], [shape], [[problem.flux]])


def galstep(problem):
    """The engine: all parameters at once, analytic derivatives."""
    solution = fit_scene(
        [problem.band], _begin(problem), FREE, bounds=BOUNDS, max_iterations=30, tolerance=TOLERANCE
    )
    # the steps taken, and the image at the start
    return _answer(solution, solution.n_iterations + 1)


def galstep_from_scratch(problem):
    """The same, with the transforms of a PSF that was never seen before."""
    fresh = EffectivePSF.from_array(problem.psf.array, problem.psf.oversample)
    return galstep(Problem.of(problem.data, problem.sigma, fresh, problem.start, problem.flux))


def _counted(problem, **options):
    count = []
    original = ShapeChi2.__call__

    def counting(self, vector):
        count.append(1)
        return original(self, vector)

    ShapeChi2.__call__ = counting
    try:
        solution = fit_simplex([problem.band], _begin(problem), FREE, bounds=BOUNDS, **options)
    finally:
        ShapeChi2.__call__ = original
    return _answer(solution, len(count) + options.get("polish", False) * solution.n_iterations)


def nelder_mead(problem):
    """``galaxy_fitter = iterative_nm``."""
    return _counted(problem)


def nelder_mead_polished(problem):
    """The same with the final polish."""
    return _counted(problem, polish=True)


class _Convolved:
    """astropy's Sersic2D at the pixel centres, convolved with the native PSF."""

    def __init__(self, problem):
        self.problem = problem
        self.yy, self.xx = np.indices(problem.data.shape, dtype=float)
        self.n_evaluations = 0

    def residual(self, parameters):
        """(data - model) / sigma, all pixels."""
        self.n_evaluations += 1
        *galaxy, sky = parameters
        ln_amplitude, x_0, y_0, ln_r_eff, e1, e2, ln_n = galaxy
        params = SersicParams.from_vector([x_0, y_0, ln_r_eff, e1, e2, ln_n])
        image = Sersic2D.evaluate(
            self.xx, self.yy, np.exp(ln_amplitude), params.r_eff, params.n,
            params.x_0, params.y_0, params.ellip, params.theta,
        )  # fmt: skip
        model = fftconvolve(image, self.problem.native_psf, mode="same") + sky
        return ((self.problem.data - model) / self.problem.sigma).ravel()


def astropy_least_squares(problem):
    """MINPACK's Levenberg-Marquardt with numerical derivatives."""
    model, start = _Convolved(problem), problem.start
    bright = amplitude(problem.flux, start.r_eff, start.n, start.ellip)
    x_0, y_0, *rest = start.to_vector()
    found = least_squares(
        model.residual, [np.log(bright), x_0, y_0, *rest, 0.0], method="lm", x_scale="jac"
    )
    params = SersicParams.from_vector(found.x[1:7])
    flux = total_flux(np.exp(found.x[0]), params.r_eff, params.n, params.ellip)
    return Answer(params, float(flux), float(2 * found.cost), model.n_evaluations)


def pyimfit_small_psf(problem):
    """pyimfit with the PSF cut."""
    margin = (len(problem.native_psf) - SMALL_PSF) // 2
    cut = problem.native_psf[margin : margin + SMALL_PSF, margin : margin + SMALL_PSF]
    return _pyimfit(problem, cut / cut.sum())


def pyimfit_whole_psf(problem):
    """pyimfit with all of the PSF."""
    return _pyimfit(problem, problem.native_psf)


def _pyimfit(problem, psf):
    """pyimfit's Levenberg-Marquardt on one thread."""
    import pyimfit

    start, n_x = problem.start, problem.data.shape[1]
    model = pyimfit.SimpleModelDescription()
    # imfit counts pixels from 1 and angles from +y
    model.x0.setValue(start.x_0 + 1, [1, n_x])
    model.y0.setValue(start.y_0 + 1, [1, len(problem.data)])
    galaxy = pyimfit.make_imfit_function("Sersic")
    bright = amplitude(problem.flux, start.r_eff, start.n, start.ellip)
    galaxy.PA.setValue((np.degrees(start.theta) - 90) % 180, [-360, 360])
    galaxy.ell.setValue(start.ellip, [0, 0.95])
    galaxy.n.setValue(start.n, [0.35, 8])
    galaxy.I_e.setValue(bright, [0, 1e3 * bright])
    galaxy.r_e.setValue(start.r_eff, [0.5, 80])
    sky = pyimfit.make_imfit_function("FlatSky")
    sky.I_sky.setValue(0.0, [-problem.sigma, problem.sigma])
    model.addFunction(galaxy)
    model.addFunction(sky)
    fitter = pyimfit.Imfit(model, psf=psf, maxThreads=1)
    error = np.full(problem.data.shape, problem.sigma)
    found = fitter.fit(problem.data, error=error, error_type="sigma", solver="LM")
    x_0, y_0, angle, ellip, n, bright, r_eff, _ = found.params
    params = SersicParams(x_0 - 1, y_0 - 1, r_eff, n, ellip, np.radians(angle + 90) % np.pi)
    flux = total_flux(bright, r_eff, n, ellip)
    return Answer(params, float(flux), float(found.fitStat), int(found.nFuncEvals))


def available():
    """Name to fitter, and the reasons why any is left out.

    Returns
    -------
    fitters : dict
    left_out : dict of str
    """
    fitters = {
        "galstep": galstep,
        "galstep, new PSF": galstep_from_scratch,
        "galstep, Nelder-Mead": nelder_mead,
        "the same, polished": nelder_mead_polished,
        "astropy + least_squares": astropy_least_squares,
    }
    if find_spec("pyimfit") is None:
        return fitters, {"pyimfit": "not installed (pip install pyimfit; it is built from source)"}
    both = {"pyimfit, PSF 81 x 81": pyimfit_small_psf, "pyimfit, whole PSF": pyimfit_whole_psf}
    return fitters | both, {}
