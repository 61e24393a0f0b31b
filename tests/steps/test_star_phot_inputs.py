"""All that StarPhot can be given: images, errors, masks, PSFs, tables of first positions."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from photutils.psf import PSF_FLAGS, CircularGaussianPSF

from galstep.exceptions import InputError, ParameterError
from galstep.steps import StarPhot
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

SHAPE, SIDE, NOISE = (71, 81), 0.03, 0.5
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = (STAR.sampled(4, 101), 4)
X, Y = np.array([20.3, 50.6, 35.1]), np.array([20.2, 30.9, 55.4])
FLUX = np.array([900.0, 600.0, 2000.0])
DATA = star_frame(SHAPE, STAR, X, Y, FLUX) + np.random.default_rng(8).normal(0, NOISE, SHAPE)
ERROR = np.full(SHAPE, NOISE)
TRUTH = (X, Y, FLUX)


def wcs_of(ra=10.0, dec=20.0, axes=("RA---TAN", "DEC--TAN"), frame=""):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.radesys = list(axes), [ra, dec], frame
    wcs.wcs.crpix, wcs.wcs.cdelt = [41, 36], [-SIDE / 3600, SIDE / 3600]
    wcs.wcs.set()
    return wcs


def rows_of(image, psf=PSF, run=(), **options):
    return StarPhot(**options).run(image, psf, **dict(run)).rows


def check(rows, truth=TRUTH, n=3):
    """Each star once, within four errors."""
    order = np.argsort(truth[1])
    x, y, flux = (np.asarray(v)[order] for v in truth)
    by_y = np.argsort(rows.y_fit)
    assert len(rows) == n
    assert np.abs(rows.x_fit[by_y] - x).max() < 0.1
    assert np.abs(rows.y_fit[by_y] - y).max() < 0.1
    assert (np.abs(rows.flux_fit[by_y] - flux) < 4 * rows.flux_err[by_y]).all()


# ------------------------------------------------------------------- images

CCD = CCDData(DATA, unit="adu", uncertainty=StdDevUncertainty(ERROR))
IMAGES = {
    "array": DATA,
    "float32, big-endian": DATA.astype(">f4"),
    "Quantity": DATA * u.nJy,
    "masked array": np.ma.array(DATA, mask=np.zeros(SHAPE, bool)),
    "Masked": Masked(DATA * u.Jy, mask=np.zeros(SHAPE, bool)),
    "NDData": NDData(DATA),
    "CCDData": CCD,
    "HDUList": fits.HDUList([fits.PrimaryHDU(DATA)]),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    check(rows_of(IMAGES[name]))


@pytest.mark.parametrize(
    "name", ["plain.fits", "i2d.fits", "unnamed.fits", "image.fits.gz", "image.h5"]
)
def test_files(tmp_path, name):
    path = tmp_path / name
    if name.endswith("h5"):
        import h5py

        with h5py.File(path, "w") as file:
            file["F150W"] = DATA
    elif name.startswith("plain") or name.endswith("gz"):
        fits.PrimaryHDU(DATA).writeto(path)
    else:
        called = "SCI" if name.startswith("i2d") else None
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(DATA, name=called)]).writeto(path)
    psf = fits.PrimaryHDU(PSF[0])
    psf.header["OVERSAMP"] = 4
    psf.writeto(tmp_path / "psf.fits")
    for given in (path, str(path)):
        check(StarPhot().run(given, str(tmp_path / "psf.fits")).rows)


@pytest.mark.parametrize(
    "unit", ["ELECTRONS/S", "COUNTS", "ADU", "counts/s", "e-/s", "MJY/SR", "mJy/PIXEL"]
)
def test_units_of_files(tmp_path, unit):
    hdu = fits.PrimaryHDU(DATA)
    hdu.header["BUNIT"] = unit
    hdu.writeto(tmp_path / "a.fits")
    catalog = StarPhot().run(tmp_path / "a.fits", PSF).catalog
    assert catalog["flux_fit"].unit is not None
    with fits.open(tmp_path / "a.fits", mode="update") as hdus:
        hdus[0].header["BUNIT"] = "mjy/sr"
    with pytest.raises(InputError, match="may be mJy or MJy"):
        StarPhot().run(tmp_path / "a.fits", PSF)


def test_magnitudes_of_counts(tmp_path):
    hdu = fits.PrimaryHDU(DATA, wcs_of().to_header())
    hdu.header["BUNIT"], hdu.header["ABZP"] = "ELECTRONS/S", 25.0
    hdu.writeto(tmp_path / "a.fits")
    catalog = StarPhot().run(tmp_path / "a.fits", PSF).catalog
    expected = 25 - 2.5 * np.log10(catalog["flux_fit"].value)
    assert catalog["mag_ab"].value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["ERR", "VAR", "WHT", "MASK", "DQ", "WHT file"])
def test_planes_beside_the_image(tmp_path, kind):
    """A shallow edge and a hole that would make false stars, and what tells of them."""
    rng = np.random.default_rng(4)
    sigma = np.where(np.arange(SHAPE[1]) < 12, 20 * NOISE, NOISE) * np.ones(SHAPE)
    hole = np.hypot(*(np.indices(SHAPE) - np.array([50, 60])[:, None, None])) < 4
    data = star_frame(SHAPE, STAR, *TRUTH) + sigma * rng.normal(size=SHAPE)
    data[hole] = 1e4
    shallow = np.arange(SHAPE[1])[None] < 12
    bad = hole | shallow
    planes = {
        "ERR": np.where(hole, np.nan, sigma),
        "VAR": np.where(hole, np.nan, sigma**2),
        "WHT": np.where(hole, 0, sigma**-2),
        "MASK": bad.astype(np.uint8),
        "DQ": 1 * bad + 4 * ~bad,
    }
    name = kind.split()[0]
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(data, name="SCI")]
    path = tmp_path / "a_sci.fits"
    if kind.endswith("file"):
        fits.PrimaryHDU(planes[name]).writeto(tmp_path / "a_wht.fits")
        path = [str(path), str(tmp_path / "a_wht.fits")]
    else:
        hdus.append(fits.ImageHDU(planes[name], name=name))
    fits.HDUList(hdus).writeto(tmp_path / "a_sci.fits")
    check(rows_of(path))


def test_a_gap_is_no_data():
    data = DATA.copy()
    data[:, 52:56] = np.nan  # beside a star
    check(
        rows_of(data, error=None, run={"error": ERROR})
        if False
        else rows_of(data, run={"error": ERROR})
    )
    data = DATA.copy()
    data[:, :10] = 0.0
    check(rows_of(data))


def test_one_chip_of_two(tmp_path):
    chips = [fits.ImageHDU(DATA, name="SCI", ver=1), fits.ImageHDU(DATA[::-1], name="SCI", ver=2)]
    fits.HDUList([fits.PrimaryHDU(), *chips]).writeto(tmp_path / "flt.fits")
    with pytest.raises(InputError, match=r"it has 2 images \(SCI; SCI,2\): say which"):
        StarPhot().run(tmp_path / "flt.fits", PSF)
    for name, y in (("1", Y), ("SCI,2", SHAPE[0] - 1 - Y), ("2", SHAPE[0] - 1 - Y)):
        check(StarPhot(extension=name).run(tmp_path / "flt.fits", PSF).rows, (X, y, FLUX))
    with pytest.raises(InputError, match="there is not one that is called '3'"):
        StarPhot(extension="3").run(tmp_path / "flt.fits", PSF)


@pytest.mark.parametrize(
    "uncertainty",
    [StdDevUncertainty(1e3 * ERROR, unit="mJy"), VarianceUncertainty(1e6 * ERROR**2, unit="mJy2")],
)
def test_uncertainty_in_another_unit(uncertainty):
    check(rows_of(NDData(DATA, uncertainty, unit="Jy")))


@pytest.mark.parametrize("error", [ERROR, ERROR * u.Jy, 1e3 * ERROR * u.mJy])
def test_errors_that_are_given(error):
    rows = rows_of(DATA * u.Jy, run={"error": error})
    check(rows)
    expected = NOISE * np.sqrt(4 * np.pi * 1.3**2)
    assert rows.flux_err == pytest.approx(np.full(3, expected), rel=0.05)


def test_masks_that_are_given():
    data = DATA.copy()
    data[5:9, 5:9] = 1e5
    mask = data > 1e4
    check(rows_of(data, run={"mask": mask}))
    check(rows_of(NDData(data, mask=mask)))
    check(rows_of(np.ma.array(data, mask=mask)))
    check(rows_of(Masked(data * u.Jy, mask=mask)))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            {"error": ERROR[1:]},
            r"error must have the shape of the image \(71, 81\), got",
        ),
        ({"error": ERROR * u.Jy}, "error has the unit Jy, and the image has none"),
        ({"mask": np.zeros((3, 3), bool)}, "mask must be boolean and have the shape of the image"),
        ({"mask": DATA}, "mask must be boolean"),
        ({"error": 1e-300 * ERROR}, "errors must be in the unit of the image"),
        ({"error": 0 * ERROR}, "no usable pixel"),
        ({"mask": np.ones(SHAPE, bool)}, "no usable pixel"),
    ],
)
def test_planes_that_cannot_be(run, message):
    with pytest.raises(InputError, match=message):
        StarPhot().run(DATA, PSF, **run)


@pytest.mark.parametrize("thing", [3, "nothing.fits", DATA[0], np.array([["a"]]), None])
def test_what_is_no_image(thing):
    with pytest.raises(InputError):
        StarPhot().run(thing, PSF)


# ----------------------------------------------------------------------- sky

FRAMES = {
    "plain": {},
    "RA 0": dict(ra=0.0),
    "RA 360": dict(ra=360.0, dec=-45.0),
    "north pole": dict(dec=90.0),
    "south pole": dict(ra=200.0, dec=-90.0),
    "galactic": dict(ra=0.1, dec=0.2, axes=("GLON-TAN", "GLAT-TAN")),
    "turned axes": dict(ra=20.0, dec=10.0, axes=("DEC--TAN", "RA---TAN")),
    "FK4": dict(ra=266, dec=-29, frame="FK4"),
    "FK5": dict(ra=266, dec=-29, frame="FK5"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_any_frame_of_the_sky(name):
    wcs = wcs_of(**FRAMES[name])
    image = CCDData(DATA, unit="MJy/sr", uncertainty=StdDevUncertainty(ERROR), wcs=wcs)
    catalog = StarPhot().run(image, PSF).catalog
    sky = wcs.pixel_to_world(catalog["x_fit"].value, catalog["y_fit"].value).icrs
    found = SkyCoord(catalog["ra"], catalog["dec"])
    assert found.separation(sky).arcsec.max() < 1e-6
    truth = -2.5 * np.log10(np.sort(FLUX) * 1e6 * np.radians(SIDE / 3600) ** 2 / 3631)
    assert np.sort(catalog["mag_ab"].value)[::-1] == pytest.approx(truth, abs=0.05)
    # and back: the same positions from the sky
    table = QTable({"ra": sky.ra, "dec": sky.dec})
    step = StarPhot(finder="none", fixed_positions=True, init_params=table)
    again = step.run(image, PSF).rows
    assert again.x_fit == pytest.approx(catalog["x_fit"].value, abs=1e-5)
    assert again.y_fit == pytest.approx(catalog["y_fit"].value, abs=1e-5)


# ---------------------------------------------------------------- the tables

NAMES = ["", "_init", "init", "_0", "0", "_centroid", "centroid", "_peak", "cen", "_cen", "pos",
         "_pos", "_fit", "fit", "center", "_IMAGE"]  # fmt: skip
FLUXES = ["flux", "flux_init", "fluxinit", "flux_0", "flux0", "flux_fit", "fluxfit", "source_sum",
          "segment_flux"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_positions(name):
    table = Table({f"x{name}": X + 0.1, f"y{name}": Y - 0.1})
    rows = rows_of(CCD, run={"init_params": table}, finder="none")
    assert rows.x_fit == pytest.approx(X, abs=0.1)
    assert rows.x_init == pytest.approx(X + 0.1)
    assert rows.id.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", FLUXES)
def test_names_of_fluxes(name):
    table = Table({"x": X, "y": Y, name: FLUX})
    rows = rows_of(CCD, run={"init_params": table}, finder="none", fixed_positions=True)
    assert rows.flux_init == pytest.approx(FLUX)


WCS_OF_TABLE = wcs_of(ra=200.0, dec=-30.0)
SKY = WCS_OF_TABLE.pixel_to_world(X, Y)
TABLES = {
    "degrees": {"ra": SKY.ra.deg, "dec": SKY.dec.deg},
    "RA, DEC": {"RA": SKY.ra.deg, "DEC": SKY.dec.deg},
    "VizieR": {"RAJ2000": SKY.ra, "DEJ2000": SKY.dec},
    "SExtractor": {"ALPHA_J2000": SKY.ra.deg, "DELTA_J2000": SKY.dec.deg},
    "hours": {"ra": SKY.ra.to(u.hourangle), "dec": SKY.dec},
    "radians": {"ra": SKY.ra.to(u.rad), "dec": SKY.dec.to(u.rad)},
    "arcsec": {"ra": SKY.ra.to(u.arcsec), "dec": SKY.dec.to(u.arcmin)},
    "text": {
        "ra": SKY.ra.to_string(u.hourangle, sep=":", precision=6),
        "dec": SKY.dec.to_string(sep=":", precision=6),
    },
    "text with letters": {
        "ra": SKY.ra.to_string(u.hourangle, precision=6),
        "dec": SKY.dec.to_string(precision=6),
    },
    "SkyCoord": {"sky": SKY},
    "galactic SkyCoord": {"sky_centroid": SKY.galactic},
    "glon, glat": {"glon": SKY.galactic.l, "glat": SKY.galactic.b},
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", [Table, QTable])
def test_positions_on_the_sky(name, kind):
    image = CCDData(DATA, unit="adu", uncertainty=StdDevUncertainty(ERROR), wcs=WCS_OF_TABLE)
    rows = rows_of(image, run={"init_params": kind(TABLES[name])}, finder="none",
                   fixed_positions=True)  # fmt: skip
    assert rows.x_fit == pytest.approx(X, abs=1e-3)
    assert rows.y_fit == pytest.approx(Y, abs=1e-3)


@pytest.mark.parametrize("as_file", [False, True])
def test_rows_stay_in_order_with_their_ids(tmp_path, as_file):
    x = np.ma.array([X[0], np.nan, X[1], 4.0, X[2], -400.0], mask=[0, 0, 0, 1, 0, 0])
    y = np.array([Y[0], 3.0, Y[1], 4.0, Y[2], 7.0])
    ids = np.array([40, 7, 13, 2, 99, 1])
    table = Table({"id": ids, "x": x, "y": y, "note": ["a"] * 6})
    given = table
    if as_file:
        given = tmp_path / "given.ecsv"
        table.write(given)
    rows = rows_of(CCD, run={"init_params": given}, finder="none")
    assert rows.id.tolist() == ids.tolist()
    measured = np.isfinite(rows.flux_fit)
    assert measured.tolist() == [True, False, True, False, True, False]
    assert rows.flux_fit[measured] == pytest.approx(FLUX, rel=0.05)
    assert (rows.flags[~measured] & PSF_FLAGS.NON_FINITE_FLUX > 0).all()
    assert (rows.flags[[1, 3]] & PSF_FLAGS.NON_FINITE_POSITION > 0).all()
    catalog = StarPhot(finder="none").run(CCD, PSF, init_params=given).catalog
    assert len(catalog) == 6
    assert np.isnan(catalog["flux_fit"].value).tolist() == (~measured).tolist()


def test_names_for_ids():
    table = Table({"name": ["b", "a", "c"], "x": X, "y": Y})
    result = StarPhot().run(CCD, PSF, init_params=table)
    assert result.catalog["id"][:3].tolist() == ["b", "a", "c"]


def test_fluxes_and_levels_with_units():
    image = NDData(1e3 * DATA, StdDevUncertainty(1e3 * ERROR), unit="mJy")
    table = QTable({"x": X, "y": Y, "flux": FLUX * u.Jy, "local_bkg": [0, 0, 0.0] * u.Jy})
    rows = rows_of(image, run={"init_params": table}, finder="none", fixed_positions=True)
    assert rows.flux_init == pytest.approx(1e3 * FLUX)
    with pytest.raises(InputError, match="init_params: column 'flux' must be in mJy or mJy pix"):
        rows_of(image, run={"init_params": QTable({"x": X, "y": Y, "flux": FLUX * u.s})})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": X, "y": Y}, "init_params: a column 'x' is needed"),
        ({"x": ["p", "q", "r"], "y": Y}, "init_params: column 'x' must hold numbers"),
        ({"x": X * u.deg, "y": Y}, "init_params: column 'x' must be in pix, got deg"),
        ({"ra": X, "dec": Y}, "positions on the sky need an image with a WCS"),
        ({"x": X, "y": Y, "group_id": [1, 2, 2.5]}, "column 'group_id' must hold whole numbers"),
        (
            {"x": np.full(6000, 5.0), "y": np.full(6000, 5.0)},
            "at most one position per usable pixel .* got 6000",
        ),
    ],
)
def test_tables_that_cannot_be_used(table, message):
    with pytest.raises(InputError, match=message):
        rows_of(CCD, run={"init_params": QTable(table)}, finder="none")


def test_the_parameter_is_not_changed_by_a_run():
    step = StarPhot(init_params=Table({"x": X, "y": Y}), finder="none")
    step.run(CCD, PSF, init_params=Table({"x": X[:1], "y": Y[:1]}))
    assert len(step.run(CCD, PSF)) == 3


# ----------------------------------------------------------------------- PSF


def test_formulas():
    check(rows_of(CCD, CircularGaussianPSF(fwhm=2.3548 * 1.3)))
    check(StarPhot().run(CCD, psf=CircularGaussianPSF(fwhm=2.3548 * 1.3)).rows)


def test_photutils_engine_takes_the_same():
    table = Table({"id": [4, 9, 2], "x": X, "y": [Y[0], np.nan, Y[2]]})
    rows = rows_of(DATA * u.Jy, run={"init_params": table, "error": ERROR}, engine="photutils",
                   finder="none")  # fmt: skip
    assert rows.id.tolist() == [4, 9, 2]
    assert np.isnan(rows.flux_fit).tolist() == [False, True, False]


def test_a_psf_that_is_too_broad_is_said(caplog):
    broad = (GaussianMixturePSF.gaussian(2.6).sampled(4, 161), 4)
    StarPhot(finder="none").run(CCD, broad, init_params=Table({"x": X, "y": Y}))
    assert "the PSF is not that of the image" in caplog.text


@pytest.mark.parametrize("value", [2.5, 0, "four"])
def test_oversample_as_a_parameter(value):
    with pytest.raises((InputError, ParameterError), match="oversample"):
        StarPhot(oversample=value).run(CCD, PSF[0])
