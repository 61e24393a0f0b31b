import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.table import QTable, Table
from photutils.psf import GriddedPSFModel, ImagePSF
from scipy.spatial import cKDTree
from stpipe import Step

from galstep.exceptions import InputError, ParameterError
from galstep.steps import StarPhot
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions, tan_wcs

SHAPE = (130, 150)
ARRAY = default_psf("F150W").sampled(4, 181)
PSF = (ARRAY, 4)


@pytest.fixture(scope="module")
def field():
    """An image with error plane and WCS, and the true stars."""
    rng = np.random.default_rng(1)
    x, y = star_positions(rng, 25, SHAPE, 10)
    flux = 10 ** rng.uniform(2.2, 4, 25)
    image = 3 + star_frame(SHAPE, default_psf("F150W"), x, y, flux) + rng.normal(0, 0.5, SHAPE)
    error = StdDevUncertainty(np.full(SHAPE, 0.5))
    ccd = CCDData(image, unit="MJy/sr", uncertainty=error, wcs=tan_wcs(SHAPE),
                  meta={"FILENAME": "field.fits"})  # fmt: skip
    return ccd, (x, y, flux)


@pytest.fixture
def files(field, tmp_path):
    """Image and PSF as FITS files."""
    header = field[0].wcs.to_header()
    header["BUNIT"] = "MJy/sr"
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(field[0].data, header, name="SCI"),
        fits.ImageHDU(field[0].uncertainty.array, name="ERR"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "field.fits")
    psf = fits.PrimaryHDU(ARRAY)
    psf.header["OVERSAMP"] = 4
    psf.writeto(tmp_path / "psf.fits")
    return tmp_path / "field.fits", tmp_path / "psf.fits"


def check(result, truth, sky=True):
    x, y, flux = truth
    rows = result.rows
    distance, own = cKDTree(np.column_stack([x, y])).query(
        np.column_stack([rows.x_fit, rows.y_fit])
    )
    assert len(rows) == 25
    assert distance.max() < 0.5
    assert len(np.unique(own)) == 25
    pulls = (rows.flux_fit - flux[own]) / rows.flux_err
    assert np.abs(pulls).max() < 5
    return own


def test_command_line(files, field, elsewhere):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    image, psf = files
    Step.from_cmdline(["gal_starphot", str(image), f"--psf_file={psf}", "--tile_size=64"])
    written = {path.name for path in elsewhere.iterdir()}
    assert written == {
        "field_starphot.ecsv", "field_starphot.reg", "field_starphot.png",
        "field_starphot_residual.fits",
    }  # fmt: skip
    table = QTable.read("field_starphot.ecsv")
    assert table.meta["image"] == "field"
    residual = fits.getdata("field_starphot_residual.fits")
    assert residual.shape == SHAPE
    assert residual.std() == pytest.approx(0.5, rel=0.1)
    header = fits.getheader("field_starphot_residual.fits")
    assert header["BUNIT"] == "MJy/sr"
    assert header["CTYPE1"] == "RA---TAN"
    assert (elsewhere / "field_starphot.reg").read_text().count("circle") == 25


def test_catalog(field):
    ccd, truth = field
    result = StarPhot().run(ccd, PSF)
    own = check(result, truth)
    table = result.catalog
    assert {"x_fit", "y_fit", "flux_fit", "x_err", "flux_err", "qfit", "cfit", "flags"} <= set(
        table.colnames
    )
    assert all(table[name].info.description for name in table.colnames)
    assert str(table["flux_fit"].unit) == "MJy pix / sr"
    sky = ccd.wcs.pixel_to_world_values(truth[0][own], truth[1][own])
    assert table["ra"].to_value("deg") == pytest.approx(sky[0], abs=0.2 * 0.031 / 3600)
    area = np.radians(0.031 / 3600) ** 2
    mag = -2.5 * np.log10(truth[2][own] * 1e6 * area / 3631)
    assert table["mag_ab"].to_value("mag") == pytest.approx(mag, abs=0.15)
    assert result.meta.cal_step.gal_starphot == "COMPLETE"
    assert result.meta.parameters["starphot"]["threshold"] == 5.0


@pytest.mark.parametrize("kind", ["grid", "image", "pair"])
def test_psfs_of_photutils(field, kind):
    ccd, truth = field
    corners = [(0, 0), (149, 0), (0, 129), (149, 129)]
    psf = {
        "grid": GriddedPSFModel(
            NDData(np.array([ARRAY * 16] * 4), meta={"grid_xypos": corners, "oversampling": 4})
        ),
        "image": ImagePSF(ARRAY * 16, oversampling=4),
        "pair": PSF,
    }[kind]
    result = StarPhot(background="none").run(CCDData(ccd.data - 3, unit="adu"), psf)
    check(result, truth)
    assert "ra" not in result.catalog.colnames
    assert "mag_ab" not in result.catalog.colnames


def test_engines_agree(field):
    ccd, truth = field
    ours = StarPhot(fit_shape=11).run(ccd, PSF)
    theirs = StarPhot(engine="photutils", fit_shape=11).run(ccd, PSF)
    own, other = check(ours, truth), check(theirs, truth)
    order = [np.argsort(o) for o in (own, other)]
    ratio = theirs.rows.flux_fit[order[1]] / ours.rows.flux_fit[order[0]]
    assert ratio == pytest.approx(np.ones(25), abs=0.03)
    assert theirs.catalog.colnames == ours.catalog.colnames
    assert np.nanstd(theirs.residual_image()) == pytest.approx(0.5, rel=0.1)


def test_forced_photometry(field, tmp_path):
    ccd, (x, y, flux) = field
    path = tmp_path / "known.ecsv"
    ra, dec = ccd.wcs.pixel_to_world_values(x, y)
    Table({"ra": ra, "dec": dec}).write(path)
    step = StarPhot(init_params=str(path), finder="none", fixed_positions=True)
    rows = step.run(ccd, PSF).rows
    assert rows.x_fit == pytest.approx(x, abs=1e-6)
    assert np.isnan(rows.x_err).all()
    assert np.abs((rows.flux_fit - flux) / rows.flux_err).max() < 5


def test_large_image_is_read_as_it_lies_on_disc(files, elsewhere):
    step = StarPhot(psf_file=str(files[1]), save_results=True, save_regions=False,
                    qa_figure=False, save_residual=False)  # fmt: skip
    result = step.run(str(files[0]))
    base = result.image.data
    while getattr(base, "base", None) is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap) or type(base).__name__ == "mmap"
    assert {path.name for path in elsewhere.iterdir()} == {"field_starphot.ecsv"}


def test_nothing_to_find():
    noise = np.random.default_rng(2).normal(0, 1, (64, 64))
    result = StarPhot(threshold=8.0).run(CCDData(noise, unit="adu"), PSF)
    assert len(result) == 0
    assert result.residual_image() == pytest.approx(noise, abs=0.7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(fit_shape=6), r"fit_shape must be odd \(or 0\), got 6"),
        (dict(finder="none"), "finder none needs init_params"),
        (dict(fixed_positions=True), "fixed_positions needs init_params"),
        (dict(local_radii=[5.0, 3.0]), "a larger outer radius"),
    ],
)
def test_bad_parameters(field, values, message):
    with pytest.raises(ParameterError, match=message):
        StarPhot(**values).run(field[0], PSF)


def test_what_cannot_be_measured(field, unfitted):
    with pytest.raises(InputError, match="StarPhot needs a PSF: give psf_file"):
        StarPhot().run(field[0])
    with pytest.raises(InputError, match="an image, not a galaxy"):
        StarPhot().run(unfitted, PSF)
    with pytest.raises(InputError, match="psf must be a file, a PSF model of photutils, or "):
        StarPhot().run(field[0], 3.0)
