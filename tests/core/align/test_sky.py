"""WCS of every kind: frames, conventions, the poles, RA 0; none of them is a special case."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import (
    FK4,
    FK5,
    BarycentricMeanEcliptic,
    Galactic,
    SkyCoord,
    angular_separation,
)
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galstep.exceptions import InputError
from galstep.testing.star_frames import tan_wcs

pytest.importorskip("tweakwcs")

import gwcs
from gwcs import coordinate_frames

from galstep.core.align.catalog import Positions
from galstep.core.align.images import (
    AlignImage,
    MatchOptions,
    align_images,
    align_to_catalog,
    common_plane,
)
from galstep.core.align.sky import pixel_of, pixel_side, sky_of
from galstep.core.align.tangent_plane import make_corrector
from galstep.testing.gwcs_models import mosaic_gwcs

SHAPE = (300, 400)
SCALE = 0.03
STEP = SCALE / 3600


def fits_wcs(ctype=("RA---TAN", "DEC--TAN"), crval=(10.0, 20.0), crpix=(200.0, 150.0), **values):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ctype, crval, crpix
    wcs.wcs.cdelt = [-STEP, STEP]
    for name, value in values.items():
        setattr(wcs.wcs, name, value)
    wcs.wcs.set()
    return wcs


def header_wcs(**cards):
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 10.0, 20.0
    header["CRPIX1"], header["CRPIX2"] = 200.0, 150.0
    header.update(cards)
    return WCS(header)


CDELT = dict(CDELT1=-STEP, CDELT2=STEP)
CD = dict(CD1_1=-STEP, CD1_2=0.0, CD2_1=0.0, CD2_2=STEP)
SIP = dict(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-5,
           B_1_1=-2e-5, **CD)  # fmt: skip
KINDS = {
    "tan": fits_wcs(),
    "RA 0": fits_wcs(crval=(0.0, 20.0)),
    "just below RA 360": fits_wcs(crval=(359.9995, -5.0)),
    "north pole": fits_wcs(crval=(10.0, 90.0)),
    "near the north pole": fits_wcs(crval=(120.0, 89.9995)),
    "south pole": fits_wcs(crval=(200.0, -90.0)),
    "galactic": fits_wcs(("GLON-TAN", "GLAT-TAN"), (100.0, 30.0)),
    "galactic, longitude 0": fits_wcs(("GLON-TAN", "GLAT-TAN"), (0.0, 0.0)),
    "ecliptic": fits_wcs(("ELON-TAN", "ELAT-TAN"), (100.0, 30.0)),
    "FK4": fits_wcs(radesys="FK4", equinox=1950.0),
    "FK5 of another equinox": fits_wcs(radesys="FK5", equinox=1975.0),
    "declination first": fits_wcs(("DEC--TAN", "RA---TAN"), (20.0, 10.0)),
    "SIN": fits_wcs(("RA---SIN", "DEC--SIN")),
    "ZEA": fits_wcs(("RA---ZEA", "DEC--ZEA")),
    "CAR": fits_wcs(("RA---CAR", "DEC--CAR"), (10.0, 0.0)),
    "AIT": fits_wcs(("RA---AIT", "DEC--AIT"), (10.0, 0.0)),
    "reference point far away": fits_wcs(crpix=(50000.0, -30000.0)),
    "PC": fits_wcs(pc=[[0.8, -0.6], [0.6, 0.8]]),
    "CROTA2 = 0": header_wcs(CROTA2=0.0, **CDELT),
    "CROTA2 = 25": header_wcs(CROTA2=25.0, **CDELT),
    "CROTA1 and CROTA2": header_wcs(CROTA1=-70.0, CROTA2=-70.0, **CDELT),
    "CD": header_wcs(**CD),
    "SIP": header_wcs(**SIP),
}
kinds = pytest.mark.parametrize("wcs", KINDS.values(), ids=KINDS)


def grid():
    ny, nx = SHAPE
    return [v.ravel() for v in np.meshgrid(np.linspace(0, nx - 1, 6), np.linspace(0, ny - 1, 5))]


def separation(first, second):
    """Milliarcseconds."""
    return np.degrees(angular_separation(*np.radians(first), *np.radians(second))) * 3.6e6


@kinds
def test_sky_is_icrs(wcs):
    x, y = grid()
    if wcs.wcs.lngtyp.strip() == "ELON":
        # astropy's pixel_to_world takes ecliptic axes for equatorial ones, 23 degrees off
        lon, lat = wcs.wcs_pix2world(x, y, 0)
        expected = SkyCoord(lon, lat, unit="deg", frame=BarycentricMeanEcliptic()).icrs
    else:
        expected = wcs.pixel_to_world(x, y).icrs
    assert separation(sky_of(wcs, x, y), (expected.ra.deg, expected.dec.deg)).max() < 1e-3


@kinds
def test_side_of_a_pixel(wcs):
    far = abs(wcs.wcs.crpix[0]) > 1e4  # the gnomonic projection is stretched there
    assert pixel_side(wcs, SHAPE) == pytest.approx(SCALE, rel=1e-3 if far else 3e-4)


@kinds
def test_pixel_of_a_place(wcs):
    ra, dec = sky_of(wcs, 37.3, 211.8)
    assert pixel_of(wcs, ra, dec, (199.5, 149.5)) == pytest.approx([37.3, 211.8], abs=1e-5)


@kinds
def test_correction_is_exact(wcs):
    """The affine map in the common plane, whatever the WCS is written in."""
    plane = common_plane([AlignImage("a", SHAPE, wcs, Positions.empty())])
    corrector = make_corrector("a", wcs, SHAPE, plane)
    cos, sin = np.cos(0.01), np.sin(0.01)
    matrix, shift = 1.001 * np.array([[cos, -sin], [sin, cos]]), np.array([1.3, -0.7])
    x, y = grid()
    before = sky_of(wcs, x, y)
    place = matrix @ np.array(plane.world_to_tanp(*before)) + shift[:, None]
    expected = plane.tanp_to_world(*place)
    corrector.set_correction(matrix, shift, ref_tpwcs=plane)
    assert separation(sky_of(corrector.wcs, x, y), expected).max() < 2e-3
    # through a header as well
    again = WCS(corrector.wcs.to_header(relax=True))
    assert separation(sky_of(again, x, y), expected).max() < 2e-3
    # what came in is as it was
    assert np.array_equal(sky_of(wcs, x, y), before)


@kinds
def test_images_of_any_kind_are_aligned(wcs):
    """The stars of the second image lie 4 px right of and 3 px above where its WCS says."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 300, (2, 60))
    stars = [
        Positions(x + dx, y + dy, np.ones(60), np.full(60, 0.05)) for dx, dy in ((0, 0), (4, 3))
    ]
    images = [AlignImage(name, SHAPE, wcs, own) for name, own in zip("ab", stars, strict=True)]
    found = align_images(images, MatchOptions(tolerance=0.3, separation=0.1))[1]
    assert found.status == "aligned", found.reason
    # a distortion is not the same 5 px away, which is no error of the fit
    worst = 2.0 if wcs.sip is not None else 0.05
    assert found.pixel_shift == pytest.approx([4.0, 3.0], abs=0.02 * worst)
    assert separation(sky_of(found.wcs, x + 4, y + 3), sky_of(wcs, x, y)).max() < worst


@kinds
def test_image_is_brought_to_a_catalogue(wcs):
    """Right ascensions of the catalogue on both sides of 0, or all around a pole."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 300, (2, 60))
    ra, dec = sky_of(wcs, x, y)
    table = Table({"RA": ra % 360, "DEC": dec})
    image = AlignImage("a", SHAPE, wcs, Positions(x + 4, y + 3, np.ones(60), np.full(60, 0.05)))
    (found,) = align_to_catalog([image], table, MatchOptions(tolerance=0.3, separation=0.1))
    assert found.status == "aligned", found.reason
    worst = 2.0 if wcs.sip is not None else 0.05
    assert separation(sky_of(found.wcs, x + 4, y + 3), (ra, dec)).max() < worst


@pytest.mark.parametrize("frame", [Galactic(), FK4(equinox="B1950"), FK5(equinox="J1980")])
def test_images_in_different_frames(frame):
    """A gwcs in another frame than the FITS WCS of the first image."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 300, (2, 60))
    first = fits_wcs()
    sky = first.pixel_to_world(x, y)
    centre = SkyCoord(10 * u.deg, 20 * u.deg).transform_to(frame).spherical
    wcs = mosaic_gwcs(fits_wcs(crval=(centre.lon.deg, centre.lat.deg)), SHAPE)
    pipeline = [(step.frame, step.transform) for step in wcs.pipeline]
    pipeline[-1] = coordinate_frames.CelestialFrame(name="world", reference_frame=frame), None
    wcs = gwcs.WCS(pipeline)
    own = sky.transform_to(frame).spherical
    u_, v_ = wcs.invert(own.lon.deg, own.lat.deg, with_bounding_box=False)
    stars = Positions(x, y, np.ones(60), np.full(60, 0.05))
    moved = Positions(np.array(u_) + 4, np.array(v_) + 3, np.ones(60), np.full(60, 0.05))
    images = [AlignImage("a", SHAPE, first, stars), AlignImage("b", SHAPE, wcs, moved)]
    found = align_images(images, MatchOptions(tolerance=0.3, separation=0.1))[1]
    assert found.status == "aligned", found.reason
    assert found.wcs.output_frame.reference_frame == frame
    assert separation(sky_of(found.wcs, moved.x, moved.y), (sky.ra.deg, sky.dec.deg)).max() < 0.05
    # the inverse is there as well
    lon, lat = found.wcs(100.0, 90.0)
    assert found.wcs.invert(lon, lat) == pytest.approx((100.0, 90.0), abs=1e-5)


def test_frame_that_is_not_known():
    wcs = fits_wcs(("XLON-TAN", "XLAT-TAN"))
    message = (
        "image 'a': its WCS cannot be corrected: the sky frame of a WCS with the axes XLON-TAN"
    )
    with pytest.raises(InputError, match=message):
        make_corrector("a", wcs, SHAPE, None)


def test_axes_that_are_not_the_sky():
    with pytest.raises(InputError, match="it has other axes than two on the sky"):
        make_corrector("a", WCS(naxis=2), SHAPE, None)


def test_place_that_is_not_finite():
    assert np.isnan(pixel_of(tan_wcs(SHAPE), np.nan, 0.0, (0.0, 0.0))).all()
