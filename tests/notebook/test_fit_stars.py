"""`galstep.fit_stars`: a known star field from arrays."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import NDData, StdDevUncertainty
from astropy.table import QTable

import galstep
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.testing.star_frames import star_frame, star_positions, tan_wcs

SIGMA, SHAPE, OVERSAMPLE = 0.05, (80, 90), 3


def gaussian(dx, dy, sigma=1.1):
    return np.exp(-(dx**2 + dy**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


@pytest.fixture(scope="module")
def field():
    """Image, errors, PSF, and the truth."""
    rng = np.random.default_rng(8)
    x, y = star_positions(rng, 25, SHAPE, 8.0)
    flux = rng.uniform(5, 60, 25)
    image = star_frame(SHAPE, gaussian, x, y, flux) + rng.normal(0.3, SIGMA, SHAPE)
    offsets = (np.arange(61) - 30) / OVERSAMPLE
    psf = gaussian(offsets, offsets[:, None])
    return image, np.full(SHAPE, SIGMA), psf, (x, y, flux)


@pytest.fixture(scope="module")
def result(field):
    image, err, psf, _ = field
    return galstep.fit_stars(image * u.nJy, psf, OVERSAMPLE, err=err * u.nJy, wcs=tan_wcs(SHAPE))


def matched(result, truth):
    x, y, flux = truth
    stars = result.stars
    distance = np.hypot(stars["x_fit"].value[:, None] - x, stars["y_fit"].value[:, None] - y)
    nearest = distance.argmin(axis=0)
    assert (distance.min(axis=0) < 0.3).all()
    return stars[nearest], flux


def test_stars_are_found_with_their_fluxes(result, field):
    own, flux = matched(result, field[3])
    assert len(result) == 25
    pull = (own["flux_fit"].value - flux) / own["flux_err"].value
    assert np.abs(pull).max() < 4.5 and 0.6 < pull.std() < 1.5


def test_units_and_places(result):
    assert result.stars["flux_fit"].unit == u.nJy * u.pix
    assert result.stars["x_fit"].unit == u.pix
    assert result.stars["ra"].unit == u.deg
    assert isinstance(result.stars, QTable)


def test_residual_is_noise(result):
    assert np.nanstd(result.residual) == pytest.approx(SIGMA, rel=0.1)


@pytest.mark.parametrize("form", ["arrays", "NDData", "one error", "mask"])
def test_forms(field, form):
    image, err, psf, truth = field
    kept = np.zeros(SHAPE, bool)
    result = {
        "arrays": lambda: galstep.fit_stars(image, psf, OVERSAMPLE, err),
        "NDData": lambda: galstep.fit_stars(
            NDData(image, StdDevUncertainty(err)), (psf, OVERSAMPLE)
        ),
        "one error": lambda: galstep.fit_stars(image, psf, OVERSAMPLE, SIGMA),
        "mask": lambda: galstep.fit_stars(image, psf, OVERSAMPLE, err, kept),
    }[form]()
    own, flux = matched(result, truth)
    assert np.abs((own["flux_fit"].value - flux) / own["flux_err"].value).max() < 4.5


def test_forced_positions(field):
    image, err, psf, (x, y, flux) = field
    table = QTable({"x": x[:5], "y": y[:5]})
    result = galstep.fit_stars(
        image, psf, OVERSAMPLE, err, init_params=table, finder="none", fixed_positions=True
    )
    assert len(result) == 5
    assert (result.stars["x_fit"].value == x[:5]).all()


@pytest.mark.parametrize(
    ("change", "message", "kind"),
    [
        ({"oversample": None}, "psf: give oversample", InputError),
        ({"psf": None}, "StarPhot needs a PSF", InputError),
        ({"image": {"a": np.ones(SHAPE)}}, "measures one image", InputError),
        ({"err": np.ones((3, 3))}, "err must have the shape", InputError),
        ({"treshold": 4}, "did you mean 'threshold'", ParameterError),
        ({"threshold": "low"}, "threshold", ParameterError),
        ({"maxiters": 4}, "use n_passes", ParameterError),
    ],
    ids=str,
)
def test_messages(field, change, message, kind):
    image, err, psf, _ = field
    given = {"image": image, "psf": psf, "oversample": OVERSAMPLE, "err": err} | change
    with pytest.raises(kind, match=message) as caught:
        galstep.fit_stars(**given)
    assert "\n" not in str(caught.value)


def test_text_html_and_pictures(result, tmp_path):
    assert repr(result).startswith("<StarFieldResult 'image': 25 stars")
    assert "<table" in result._repr_html_()
    pytest.importorskip("matplotlib")
    assert result.plot(tmp_path / "x.png")._repr_png_()[:4] == b"\x89PNG"


def test_save(result, tmp_path):
    path = result.save(tmp_path / "new")
    assert path.endswith("image_starphot.ecsv")
    assert len(QTable.read(path)) == 25
    with pytest.raises(GalstepError, match="there already"):
        result.save(tmp_path / "new")
    result.save(tmp_path / "new", overwrite=True)
    with pytest.raises(InputError, match="must end in .ecsv"):
        result.save(tmp_path / "x.fits")


def test_nothing_is_printed(field, capfd):
    image, err, psf, _ = field
    galstep.fit_stars(image, psf, OVERSAMPLE, err / 3)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
