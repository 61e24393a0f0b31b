"""A galaxy on an image in any frame of the sky: places in, places out, all ICRS."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from often import first_often

from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.records import SersicParams
from galstep.sky_frame import sky_of_pixels
from galstep.steps import BaseFit, ForcedScaleFit, LoadCrop
from galstep.testing import make_scene

NAME, SIDE = "F150W", 0.03
SHAPE, GALAXY = (71, 71), SersicParams(38.3, 33.2, 4.5, 1.2, 0.3, 0.7)
EQUATORIAL = ("RA---TAN", "DEC--TAN")
FRAMES = {
    "plain": ((10.0, 20.0), EQUATORIAL, ""),
    "RA 0": ((0.0, 20.0), EQUATORIAL, ""),
    "north pole": ((10.0, 90.0), EQUATORIAL, ""),
    "south pole": ((200.0, -90.0), EQUATORIAL, ""),
    "galactic": ((0.0, 0.2), ("GLON-TAN", "GLAT-TAN"), ""),
    "declination first": ((20.0, 10.0), ("DEC--TAN", "RA---TAN"), ""),
    "FK4": ((266.0, -29.0), EQUATORIAL, "FK4"),
    "ecliptic": ((30.0, 10.0), ("ELON-TAN", "ELAT-TAN"), ""),
}


def wcs_of(centre, axes, frame):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.radesys = list(axes), centre, frame
    wcs.wcs.crpix, wcs.wcs.cdelt = [36, 34], [-SIDE / 3600, SIDE / 3600]
    wcs.wcs.set()
    return wcs


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        3, SHAPE, 6, (NAME,), sersic=GALAXY, psf_size=61, snr=300, star_snr=(80, 300),
        star_separation=8,
    )  # fmt: skip


@pytest.mark.parametrize("frame", first_often(FRAMES, 2))
def test_places_in_and_out(tmp_path, scene, frame):
    wcs = wcs_of(*FRAMES[frame])
    header = wcs.to_header()
    header["FILTER"], header["BUNIT"] = NAME, "MJy/sr"
    images = [
        fits.PrimaryHDU(scene.data[NAME], header),
        fits.ImageHDU(scene.err[NAME], name="ERR"),
    ]
    fits.HDUList(images).writeto(tmp_path / "a.fits")
    psf = {NAME: (scene.psf_arrays[NAME], scene.truth.oversample)}
    ra, dec = (float(np.ravel(v)[0]) for v in sky_of_pixels(wcs, 38.3, 33.2))
    model = GalaxyModel.open(tmp_path / "a.fits", psf_file=psf)
    loaded = LoadCrop(ra=ra, dec=dec).run(model)
    fitted = BaseFit().run(loaded)
    band = fitted.bands[NAME]
    galaxy = band.fit.sersic[0].params
    place = galaxy.x_0 + band.origin[0], galaxy.y_0 + band.origin[1]
    assert place == pytest.approx((38.3, 33.2), abs=0.1)
    # the table says where that is
    row = make_tables(fitted)["sersic"][0]
    found = SkyCoord(row["ra"], row["dec"], unit="deg")
    assert found.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 0.1 * SIDE
    # and the stars are measured where the sky says that they are
    stars = scene.truth.stars
    sky = sky_of_pixels(wcs, np.asarray(stars["x"]), np.asarray(stars["y"]))
    Table(dict(zip(("ra", "dec"), sky, strict=True))).write(tmp_path / "stars.ecsv")
    step = ForcedScaleFit(
        catalog=str(tmp_path / "stars.ecsv"), filters=[NAME], positions_from="none"
    )
    forced = step.run(fitted).bands[NAME].forced
    assert forced.x + band.origin[0] == pytest.approx(np.asarray(stars["x"]), abs=0.3)
    pulls = (forced.flux - stars[f"flux_{NAME}"]) / forced.flux_err
    assert np.abs(pulls).max() < 4.5
