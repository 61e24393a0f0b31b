"""FieldPSF where a band has no star: another one's PSF stands in, or the line says what to give."""

import numpy as np
import pytest
from astropy.io import fits

from galstep.exceptions import InputError
from galstep.flags import FieldFlag
from galstep.steps import FieldPSF, LoadField, MaskField
from galstep.testing.fields import make_field

STARS = {"configure_log": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A field in two bands, of which the second sees nothing."""
    place = tmp_path_factory.mktemp("field")
    field = make_field(
        seed=17, shape=(120, 120), n_stars=14, n_galaxies=0, subsample=3, bands=("g", "r")
    )
    field.write(place)
    (dark,) = place.glob("*r.fits")
    with fits.open(dark, mode="update") as hdus:
        rng = np.random.default_rng(1)
        hdus[0].data[:] = rng.normal(0, hdus[0].header["SKYSIG"], hdus[0].data.shape)
    return place


def loaded(folder, **options):
    model = LoadField.call(
        str(folder / "field.txt"), catalog=str(folder / "field_catalog.csv"), **STARS, **options
    )
    return MaskField.call(model, **STARS)


def test_the_psf_of_another_band_stands_in(folder, caplog):
    model = FieldPSF.call(loaded(folder), **STARS)
    own, other = model.bands["r"].psf, model.bands["g"].psf
    assert own.fwhm == other.fwhm and own.n_stars == 0 and other.n_stars > 0
    assert own.source == "that of band g, for lack of stars" and own.fallback
    # fitted with a width a tenth too large a star has 2 / (1 + 1.1^2) of its flux
    assert own.flux_errors == pytest.approx(1 - 2 / (1 + 1.1**2), rel=0.06)
    assert np.all(np.asarray(model.start["flags"]) & int(FieldFlag.PSF_FALLBACK))
    assert "band r: no star for the PSF" in caplog.text


def test_without_any_star_the_run_ends(folder):
    with pytest.raises(InputError, match="no star for the PSF .* give psf_file"):
        FieldPSF.call(loaded(folder), star_snr=1e6, **STARS)
