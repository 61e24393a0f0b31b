"""A model that has other light than the data is flagged, noise is not."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.photometry.aperture_photometry import ApertureImages
from galstep.core.photometry.unmodelled_light import with_unmodelled_light
from galstep.flags import BandFlag
from galstep.records import Aperture, ApertureFlux

SHAPE = (61, 61)
APERTURE = Aperture(30.0, 30.0, 8.0, 5.0, 0.4)
AREA = np.pi * 8.0 * 5.0
FLUX = ApertureFlux(APERTURE, 100.0, 4.0, noise_err=3.0, sky_err=2.0, star_err=1.0)


def images_of(residual, mask=None):
    mask = np.zeros(SHAPE, dtype=bool) if mask is None else mask
    return ApertureImages(residual, mask, residual, mask, np.ones(SHAPE))


def flat(total):
    """A residual of this sum in the aperture."""
    return np.full(SHAPE, total / AREA)


@pytest.mark.parametrize(
    ("total", "words"), [(30.0, "30 % more light"), (-25.0, "25 % less light")]
)
def test_flagged_with_the_share(total, words):
    found = with_unmodelled_light(FLUX, images_of(flat(total)))
    assert found.flags == BandFlag.MODEL_DIFFERS
    assert words in found.reason
    assert (found.flux, found.flux_err) == (FLUX.flux, FLUX.flux_err)


@pytest.mark.parametrize(
    ("total", "flux"),
    [
        (11.0, FLUX),  # within three errors
        (9.0, replace(FLUX, noise_err=0.1, sky_err=0.1, star_err=0.1)),  # a small share
        (30.0, replace(FLUX, flux=np.nan)),
        (30.0, replace(FLUX, flux=-100.0)),
        (np.nan, FLUX),
    ],
)
def test_not_flagged(total, flux):
    assert with_unmodelled_light(flux, images_of(flat(total))) is flux


def test_masked_pixels_have_no_say():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, :30] = True
    residual = np.where(mask, 1e6, 0.0)
    assert with_unmodelled_light(FLUX, images_of(residual, mask)) is FLUX


def test_flags_and_reasons_before_it_stay():
    before = replace(FLUX, flags=int(BandFlag.SKY_UNCERTAIN), reason="sky")
    found = with_unmodelled_light(before, images_of(flat(50.0)))
    assert found.flags == BandFlag.SKY_UNCERTAIN | BandFlag.MODEL_DIFFERS
    assert found.reason.startswith("sky; the data hold")


def test_an_aperture_off_the_frame():
    away = replace(FLUX, aperture=replace(APERTURE, x=500.0))
    assert with_unmodelled_light(away, images_of(flat(50.0))) is away
