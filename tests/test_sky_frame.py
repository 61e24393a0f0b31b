import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS

from galstep.exceptions import InputError
from galstep.sky_frame import pixel_side, pixels_of_sky, sky_of_pixels

SHAPE, SIDE = (100, 120), 0.05
FRAMES = {
    "plain": (150.0, 2.0, ("RA---TAN", "DEC--TAN"), ""),
    "RA 0": (0.0, 20.0, ("RA---TAN", "DEC--TAN"), ""),
    "north pole": (10.0, 90.0, ("RA---TAN", "DEC--TAN"), ""),
    "south pole": (300.0, -90.0, ("RA---SIN", "DEC--SIN"), ""),
    "galactic": (0.0, 0.1, ("GLON-TAN", "GLAT-TAN"), ""),
    "galactic, turned": (0.1, 0.0, ("GLAT-TAN", "GLON-TAN"), ""),
    "turned": (10.0, 20.0, ("DEC--TAN", "RA---TAN"), ""),
    "FK4": (266.0, -29.0, ("RA---TAN", "DEC--TAN"), "FK4"),
    "FK5": (266.0, -29.0, ("RA---TAN", "DEC--TAN"), "FK5"),
}


def wcs_of(lon, lat, axes, frame):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.radesys = list(axes), [lon, lat], frame
    if axes[0].startswith(("DEC", "GLAT")):
        wcs.wcs.crval = [lat, lon]
    wcs.wcs.crpix, wcs.wcs.cdelt = [60.5, 50.5], [-SIDE / 3600, SIDE / 3600]
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("sliced", [False, True])
def test_there_and_back(name, sliced):
    wcs = wcs_of(*FRAMES[name])
    x, y = np.array([0.0, 59.5, 119.0, 200.0]), np.array([0.0, 49.5, 30.0, -50.0])
    sky = wcs.pixel_to_world(x, y).icrs
    wcs = SlicedLowLevelWCS(wcs, np.s_[0:100, 0:120]) if sliced else wcs
    found = SkyCoord(*sky_of_pixels(wcs, x, y), unit="deg")
    assert found.separation(sky).to_value(u.arcsec).max() < 1e-7
    back = pixels_of_sky(wcs, found.ra.deg, found.dec.deg, SHAPE)
    assert np.abs(np.array(back) - (x, y)).max() < 1e-5
    assert pixel_side(wcs, 59.5, 49.5) == pytest.approx(SIDE, rel=1e-6)


@pytest.mark.parametrize("name", ["plain", "RA 0", "north pole", "galactic"])
def test_gwcs_without_inverse(name):
    pytest.importorskip("gwcs")

    class OneWay:
        """A gwcs that can only be asked for the sky."""

        available_frames = ("detector", "world")

        def __init__(self, wcs):
            from types import SimpleNamespace

            from astropy.wcs.utils import wcs_to_celestial_frame

            self.own = wcs
            frame = wcs_to_celestial_frame(wcs)
            self.output_frame = SimpleNamespace(reference_frame=frame, axes_order=(0, 1))

        def __call__(self, x, y, with_bounding_box=True):
            return self.own.all_pix2world(x, y, 0)

    wcs = OneWay(wcs_of(*FRAMES[name]))
    x, y = np.array([0.0, 119.0, 300.0]), np.array([99.0, 0.0, -40.0])
    ra, dec = sky_of_pixels(wcs, x, y)
    assert np.abs(np.array(pixels_of_sky(wcs, ra, dec, SHAPE)) - (x, y)).max() < 1e-5
    far = pixels_of_sky(wcs, (ra + 180) % 360, -dec, SHAPE)
    assert np.isnan(far).all()


def test_what_has_no_place():
    wcs = wcs_of(*FRAMES["plain"])
    ra, dec = np.array([np.nan, 150.0, np.inf, 150.0, 330.0]), np.array([2.0, np.nan, 2, 95, -2])
    assert np.isnan(pixels_of_sky(wcs, ra, dec)).all()
    x, y = pixels_of_sky(wcs, 150.0, 2.0)
    assert (float(x), float(y)) == pytest.approx((59.5, 49.5))
    assert sky_of_pixels(wcs, [], [])[0].shape == (0,)


def test_a_frame_that_is_not_known():
    wcs = wcs_of(10.0, 20.0, ("SLON-TAN", "SLAT-TAN"), "")
    with pytest.raises(InputError, match="axes SLON-TAN, SLAT-TAN is not known"):
        sky_of_pixels(wcs, 0.0, 0.0)


def test_ecliptic_axes():
    """Which astropy takes for right ascension and declination."""
    wcs = wcs_of(30.0, 10.0, ("ELON-TAN", "ELAT-TAN"), "")
    sky = SkyCoord(*sky_of_pixels(wcs, 59.5, 49.5), unit="deg")
    truth = SkyCoord(30 * u.deg, 10 * u.deg, frame="barycentricmeanecliptic")
    assert sky.separation(truth.icrs).to_value(u.arcsec) < 1e-3
    back = pixels_of_sky(wcs, sky.ra.deg, sky.dec.deg)
    assert np.ravel(back) == pytest.approx([59.5, 49.5], abs=1e-5)
