"""Stars detected and fitted by several programs: what `star_fit.py` compares.

Every fitter takes a `StarField` and returns a `StarTable`. All know the noise
and the PSF, and detect at a nominal 5 sigma: of the matched filter for galstep
and crowdsource, of the pixels for DAOStarFinder, which is how it is used.
"""

import warnings
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from photutils.background import LocalBackground
from photutils.datasets import make_model_image
from photutils.detection import DAOStarFinder
from photutils.psf import ImagePSF, IterativePSFPhotometry, PSFPhotometry, SourceGrouper

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.tiles import FieldImage

THRESHOLD = 5.0
SIGMA_PER_FWHM = 1 / 2.3548
FIELD_OPTIONS = StarFieldOptions(threshold=THRESHOLD)
OPTIONS = replace(ONE_PASS, thresholds=(20.0, THRESHOLD), floor_passes=2, keep=THRESHOLD)


@dataclass(frozen=True, eq=False)
class StarTable:
    """Positions, fluxes and flux errors of what was found."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray

    def select(self, keep):
        """The stars where ``keep`` is True."""
        return StarTable(self.x[keep], self.y[keep], self.flux[keep], self.flux_err[keep])


@dataclass(frozen=True, eq=False)
class StarField:
    """An image of stars in white noise of standard deviation 1, and its truth."""

    data: np.ndarray
    psf: EffectivePSF
    truth: StarTable

    @classmethod
    def draw(cls, psf, side, n_stars, seed, snr=(5.0, 500.0), render=None):
        """Uniform positions, dN/dS/N ~ (S/N)^-2.

        ``render`` draws (psf, side, x, y, flux), by default with photutils.
        """
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(-0.5, side - 0.5, (2, n_stars))
        flux_err = np.sqrt(psf.noise_area)
        flux = flux_err / rng.uniform(1 / snr[1], 1 / snr[0], n_stars)
        image = (render or drawn_by_photutils)(psf, side, x, y, flux)
        data = image + rng.normal(size=image.shape)
        return cls(data, psf, StarTable(x, y, flux, np.full(n_stars, flux_err)))


def drawn_by_photutils(psf, side, x, y, flux):
    """An image of stars, with all of their wings."""
    return make_model_image(
        (side, side),
        image_psf(psf),
        Table({"x_0": x, "y_0": y, "flux": flux}),
        model_shape=tuple(2 * (n // (2 * psf.oversample)) + 1 for n in psf.array.shape),
    )


def drawn_by_galstep(psf, side, x, y, flux):
    """The same spline, in less time: for many stars."""
    return StarRenderer(psf).render((side, side), x, y, flux)


def image_psf(psf):
    """The PSF as photutils has it."""
    return psf.derived(
        "ImagePSF", lambda: ImagePSF(psf.array * psf.oversample**2, oversampling=psf.oversample)
    )


def galstep_field(field):
    """StarPhot's engine, with a sky mesh and the noise known."""
    image = FieldImage(field.data, np.ones(field.data.shape))
    psfs = field.psf.derived("star field", lambda: PsfField.single(field.psf))
    found = fit_star_field(image, psfs, FIELD_OPTIONS)
    state = found.state
    return StarTable(state.x, state.y, state.flux, found.errors[:, 0])


def galstep_ladder(field):
    """BaseFit's engine: the ladder, which measures the noise as it goes; no galaxy."""
    shape = field.data.shape
    band = make_band(
        "", field.data, np.zeros(shape, dtype=bool), field.psf, np.ones(shape), sky_order=0
    )
    start = SceneState.start([band], np.zeros((0, 6)))
    result = run_ladder([band], start, Freedom(), OPTIONS)
    state = result.solution.state
    error = result.covariance.star_flux_errors([band])
    return StarTable(state.x, state.y, state.star_flux[0], error[0])


def galstep_fit(field):
    """The fit alone, from the true positions."""
    image = FieldImage(field.data, np.ones(field.data.shape))
    psfs = field.psf.derived("star field", lambda: PsfField.single(field.psf))
    options = replace(FIELD_OPTIONS, finder="none", background="none")
    truth = GivenStars.of(field.truth.x, field.truth.y, field.truth.flux)
    found = fit_star_field(image, psfs, options, truth)
    return StarTable(found.state.x, found.state.y, found.state.flux, found.errors[:, 0])


def photutils_fit(field):
    """The fit alone, from the true positions and fluxes, grouped, without background."""
    photometry = PSFPhotometry(
        image_psf(field.psf),
        (5, 5),
        grouper=SourceGrouper(2 * field.psf.fwhm * SIGMA_PER_FWHM),
    )
    truth = field.truth
    start = Table({"x_init": truth.x, "y_init": truth.y, "flux_init": truth.flux})
    return _measured(photometry, field, init_params=start)


def _photutils(field, run, **options):
    fwhm = field.psf.fwhm
    sigma = fwhm * SIGMA_PER_FWHM
    finder = DAOStarFinder(THRESHOLD, fwhm, sharpness_range=(0.2, 1.0), roundness_range=(-1, 1))
    photometry = run(
        image_psf(field.psf),
        (5, 5),
        finder=finder,
        grouper=SourceGrouper(2 * sigma),
        local_bkg_estimator=LocalBackground(2 * sigma, 5 * sigma),
        aperture_radius=3,
        **options,
    )
    return _measured(photometry, field)


def _measured(photometry, field, **options):
    with warnings.catch_warnings():
        # fits that fail are flagged in the table, and said once more
        warnings.simplefilter("ignore", AstropyUserWarning)
        table = photometry(field.data, error=np.ones(field.data.shape), **options)
    names = ("x_fit", "y_fit", "flux_fit", "flux_err")
    columns = (np.asarray(table[name], dtype=float) for name in names)
    found = StarTable(*columns)
    return found.select(np.isfinite(found.flux) & np.isfinite(found.flux_err))


def photutils_psf(field):
    """PSFPhotometry, grouped, with a local background."""
    return _photutils(field, PSFPhotometry)


def photutils_iterative(field):
    """IterativePSFPhotometry: what is left is searched twice more."""
    return _photutils(field, IterativePSFPhotometry, maxiters=3, sub_shape=(25, 25))


def crowdsource(field):
    """crowdsource without its refit of the PSF and with a constant sky."""
    from crowdsource.crowdsource_base import fit_im
    from crowdsource.psf import SimplePSF

    factor = field.psf.oversample
    half = int(min(field.psf.centre)) // factor
    rows, columns = (n // 2 + factor * np.arange(-half, half + 1) for n in field.psf.array.shape)
    stamp = factor**2 * field.psf.array[np.ix_(rows, columns)]
    # (row, column) is its (x, y)
    stars, *_ = fit_im(
        field.data.astype("f4"),
        SimplePSF(stamp.astype("f4"), normalize=-1),
        weight=np.ones(field.data.shape, dtype="f4"),
        threshold=THRESHOLD,
    )
    return StarTable(
        *(np.asarray(stars[name], dtype=float) for name in ("y", "x", "flux", "dflux"))
    )


def available():
    """Name to fitter, and the reasons why any is left out.

    Returns
    -------
    fitters : dict
    left_out : dict of str
    """
    fitters = {
        "galstep, StarPhot": galstep_field,
        "galstep, ladder": galstep_ladder,
        "photutils PSFPhotometry": photutils_psf,
        "photutils Iterative": photutils_iterative,
        "galstep, fit alone": galstep_fit,
        "photutils, fit alone": photutils_fit,
    }
    if find_spec("crowdsource") is None:
        return fitters, {"crowdsource": "not installed (pip install crowdsourcephoto)"}
    return fitters | {"crowdsource": crowdsource}, {}
