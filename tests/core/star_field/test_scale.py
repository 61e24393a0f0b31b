"""No limit is in image units: a frame times k gives the catalogue of the frame, times k."""

import numpy as np
import pytest
from scipy.special import erf

from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.photutils_engine import measure_by_photutils
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.rows import rows_of_field
from galstep.core.star_field.tiles import FieldImage

SHAPE, SIGMA, SKY, NOISE = (90, 100), 1.3, 20.0, 3.0
FACTORS = (1e-20, 1e-8, 1e6)
COLUMNS = ("x_fit", "y_fit", "reduced_chi2", "qfit")


def gaussian(offsets):
    """A Gaussian integrated over pixels of side 1 at these offsets."""
    scaled = np.sqrt(2) * SIGMA
    return 0.5 * (erf((offsets + 0.5) / scaled) - erf((offsets - 0.5) / scaled))


def light(shape, x, y, flux):
    rows, columns = (np.arange(n) for n in shape)
    stars = zip(x, y, flux, strict=True)
    return sum(f * np.outer(gaussian(rows - b), gaussian(columns - a)) for a, b, f in stars)


SAMPLES = np.arange(-60, 61) / 4
PSFS = PsfField.from_grid(np.outer(gaussian(SAMPLES), gaussian(SAMPLES))[None], np.zeros((1, 2)), 4)


@pytest.fixture(scope="module")
def truth():
    x, y = np.meshgrid([15.2, 38.4, 61.7, 84.9], [14.6, 44.1, 73.8])
    return x.ravel(), y.ravel(), np.geomspace(400, 5e4, 12)


@pytest.fixture(scope="module")
def frames(truth):
    """(data, error, gain) of one field, with noise of every kind, and without."""
    stars, white = light(SHAPE, *truth), np.random.default_rng(2).normal(size=SHAPE)
    poisson = np.sqrt(NOISE**2 + stars)
    return {
        "error plane": (SKY + stars + NOISE * white, np.full(SHAPE, NOISE), None),
        "Poisson": (SKY + stars + poisson * white, poisson, None),
        "Poisson, none drawn": (SKY + stars, poisson, None),
        "no error plane": (SKY + stars + NOISE * white, None, None),
        "gain": (SKY + stars + poisson * white, None, 1.0),
        "no noise": (SKY + stars, None, None),
        "no noise, no sky": (stars, None, None),
    }


def times(frame, k):
    data, error, gain = frame
    return FieldImage(
        k * data, None if error is None else k * error, gain=None if gain is None else gain / k
    )


def check(rows, truth):
    """Every star once, within three errors (or the PSF's own samples)."""
    assert len(rows) == len(truth[0])
    distance = np.hypot(rows.x_fit[:, None] - truth[0], rows.y_fit[:, None] - truth[1])
    own = distance.argmin(axis=1)
    assert len(np.unique(own)) == len(own)
    assert distance.min(axis=1).max() < 0.5
    limit = 3 * rows.flux_err + 2e-4 * rows.flux_fit
    assert (np.abs(rows.flux_fit - truth[2][own]) < limit).all()


def same(rows, first, k):
    assert len(rows) == len(first)
    assert np.array_equal(rows.flags, first.flags)
    assert np.allclose(rows.flux_fit / k, first.flux_fit, rtol=1e-6)
    assert np.allclose(rows.flux_err / k, first.flux_err, rtol=1e-5)
    for name in COLUMNS:
        assert np.allclose(getattr(rows, name), getattr(first, name), rtol=1e-4, atol=1e-5)


KINDS = [
    "error plane", "Poisson", "Poisson, none drawn", "no error plane", "gain", "no noise",
    "no noise, no sky",
]  # fmt: skip
OPTIONS = {
    "default": {},
    "dao": dict(finder="dao", threshold=15.0),
    "ring": dict(background="local"),
    "groups": dict(group_separation=8.0),
    "given": dict(finder="none"),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_catalogue_scales_with_the_image(frames, truth, kind, options):
    given = GivenStars.of(truth[0] + 0.1, truth[1] - 0.1) if options == "given" else None
    first = None
    for k in (1.0, *FACTORS):
        image = times(frames[kind], k)
        field = fit_star_field(image, PSFS, StarFieldOptions(**OPTIONS[options]), given)
        rows = rows_of_field(field)
        if first is None:
            first = rows
            if options != "dao":
                check(rows, truth)
        same(rows, first, k)


@pytest.mark.parametrize("kind", ["error plane", "Poisson", "no error plane", "no noise"])
@pytest.mark.parametrize("background", ["global", "local"])
def test_photutils_scales_with_the_image(frames, truth, kind, background):
    options = StarFieldOptions(n_passes=1, background=background)
    rows = [measure_by_photutils(times(frames[kind], k), PSFS, options).rows for k in (1, 1e-20)]
    assert len(rows[0]) == 12
    same(rows[1], rows[0], 1e-20)


@pytest.mark.parametrize("flux", [1e3, 3e4, 1e5, 1e6])
@pytest.mark.parametrize("place", [(40.3, 39.8), (40.0, 40.5), (3.2, 50.1), (40.3, 0.4)])
@pytest.mark.parametrize("drawn", [False, True])
def test_bright_star_with_its_own_noise_is_one_row(flux, place, drawn):
    stars = light(SHAPE, *([v] for v in (*place, flux)))
    error = np.sqrt(1 + stars)
    noise = np.random.default_rng(5).normal(size=SHAPE) if drawn else 0.0
    for finder in ("galstep", "dao"):
        options = StarFieldOptions(finder=finder, threshold=10.0)
        rows = rows_of_field(
            fit_star_field(FieldImage(stars + error * noise, error), PSFS, options)
        )
        check(rows, ([place[0]], [place[1]], np.array([flux])))


def test_two_bright_stars_with_their_own_noise():
    truth = np.array([40.3, 44.9]), np.array([39.8, 40.9]), np.array([1e6, 2e5])
    stars = light(SHAPE, *truth)
    error = np.sqrt(1 + stars)
    data = stars + error * np.random.default_rng(6).normal(size=SHAPE)
    check(rows_of_field(fit_star_field(FieldImage(data, error), PSFS)), truth)
