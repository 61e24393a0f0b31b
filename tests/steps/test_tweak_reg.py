"""TweakReg: images and filters of a galaxy aligned by their stars."""

import importlib.util

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from stpipe import Step

from galstep.datamodels import GalaxyModel
from galstep.datamodels.sky.image_door import open_image
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.flags import BandFlag
from galstep.pipeline import GalPipeline
from galstep.steps import TweakReg
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, tan_wcs

pytest.importorskip("tweakwcs")

SHAPE = (320, 360)
SEED_PARAMETERS = """
save_catalogs use_custom_catalogs catalog_format catfile starfinder snr_threshold kernel_fwhm
minsep_fwhm sigma_radius sharplo sharphi roundlo roundhi brightest peakmax npixels connectivity
nlevels contrast multithresh_mode localbkg_width apermask_method kron_params bkg_boxsize
enforce_user_order expand_refcat minobj searchrad use2dhist separation tolerance xoffset yoffset
fitgeometry nclip sigma abs_refcat save_abs_catalog abs_minobj abs_searchrad abs_use2dhist
abs_separation abs_tolerance abs_fitgeometry abs_nclip abs_sigma output_use_model
""".split()


@pytest.fixture(scope="module")
def frames():
    """Two frames of one sky with the same WCS in their headers; the true one of the second."""
    rng = np.random.default_rng(1)
    claimed, true = tan_wcs(SHAPE), tan_wcs(SHAPE, rotation=0.3, shift=(4.0, -2.5))
    x, y = rng.uniform(-10, 370, (2, 90))
    flux = 10 ** rng.uniform(2.5, 4, 90)
    u, v = true.all_world2pix(*claimed.all_pix2world(x, y, 0), 0)
    images = [
        star_frame(SHAPE, default_psf("F150W"), x, y, flux),
        star_frame(SHAPE, default_psf("F277W", fwhm=2.9), u, v, flux),
    ]
    images = [image + rng.normal(0, 0.5, SHAPE) for image in images]
    return images, claimed, true


@pytest.fixture
def files(frames, tmp_path):
    """The frames as FITS files."""
    images, claimed, _ = frames
    paths = []
    for name, image in zip("ab", images, strict=True):
        header = claimed.to_header()
        header["BUNIT"] = "MJy/sr"
        paths.append(tmp_path / f"{name}.fits")
        fits.ImageHDU(image, header, name="SCI").writeto(paths[-1])
    return paths


def frame_error(found, true):
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 359, 5), np.linspace(0, 319, 5)))
    got = true.all_world2pix(*found.pixel_to_world_values(x, y), 0)
    return np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2))


def test_parameters_of_the_seed_document():
    pars = TweakReg().get_pars()
    assert set(SEED_PARAMETERS) <= set(pars)
    wanted = {
        "starfinder": "dao", "snr_threshold": 10.0, "kernel_fwhm": 2.5, "brightest": 200,
        "peakmax": None, "bkg_boxsize": 400, "minobj": 15, "searchrad": 2.0, "separation": 1.0,
        "tolerance": 0.7, "fitgeometry": "rshift", "nclip": 3, "sigma": 3.0, "abs_refcat": "",
        "abs_searchrad": 6.0, "abs_separation": 0.1, "connectivity": 8, "kron_params": None,
    }  # fmt: skip
    assert {name: pars[name] for name in wanted} == wanted


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
def test_files(files, frames, starfinder, elsewhere):
    if starfinder == "segmentation":
        pytest.importorskip("skimage", reason="photutils deblends with scikit-image")
    result = TweakReg(starfinder=starfinder, bkg_boxsize=80).run(*files)
    row = result.summary[1]
    assert list(result.summary["status"]) == ["reference", "aligned"]
    # 60 stars of 0.05 px or so; at the corners the rotation's error as well
    assert frame_error(result[1].wcs, frames[2]) < 0.04
    assert row["shift_x"].value == pytest.approx(4.0, abs=0.6)
    assert row["n_matches"] > 40
    assert row["n_chance"] < 3
    assert "abs_status" not in result.summary.colnames
    assert result.meta.cal_step.gal_tweakreg == "COMPLETE"


def test_segmentation_needs_a_package_and_says_so(files, monkeypatch, elsewhere):
    find_spec = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "skimage" else find_spec(name, *rest)  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", missing)
    with pytest.raises(
        GalstepError, match=r"starfinder = segmentation needs the package 'skimage'"
    ):
        TweakReg(starfinder="segmentation").run(*files)


def test_command_line(files, frames, elsewhere):
    options = ["--bkg_boxsize=80", "--save_catalogs=true"]
    Step.from_cmdline(["gal_tweakreg", *map(str, files), *options])
    written = {path.name for path in elsewhere.iterdir()}
    images = {"a_tweakreg.fits", "b_tweakreg.fits"}
    assert written == {"a_tweakreg.ecsv", "a_cat.ecsv", "b_cat.ecsv"} | images
    summary = QTable.read("a_tweakreg.ecsv")
    assert summary["shift_east"].unit == "arcsec"
    assert all(summary[name].info.description for name in summary.colnames)
    assert frame_error(open_image("b_tweakreg.fits").wcs, frames[2]) < 0.04
    # the same star has the same place on the sky in both catalogues
    first, second = (QTable.read(f"{name}_cat.ecsv") for name in "ab")
    nearest = np.hypot(
        first["ra"][:, None] - second["ra"][:30], first["dec"][:, None] - second["dec"][:30]
    ).min(axis=0)
    assert np.median(nearest.to_value("arcsec")) < 0.01


def test_images_that_do_not_belong_together(frames, elsewhere):
    images, claimed, _ = frames
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 360, (2, 90))
    other = star_frame(SHAPE, default_psf("F150W"), x, y, 10 ** rng.uniform(2.5, 4, 90))
    other += rng.normal(0, 0.5, SHAPE)
    pair = [CCDData(image, unit="adu", wcs=claimed) for image in (images[0], other)]
    result = TweakReg(bkg_boxsize=80).run(pair)
    assert list(result.summary["status"]) == ["reference", "failed"]
    assert "match" in result.summary["reason"][1]
    assert np.isnan(result.summary["shift_x"][1])
    assert result[1].wcs.wcs.compare(claimed.wcs)


def test_custom_catalogs(files, frames, tmp_path, elsewhere):
    _, claimed, true = frames
    rng = np.random.default_rng(2)
    x, y = rng.uniform(20, 300, (2, 40))
    u, v = true.all_world2pix(*claimed.all_pix2world(x, y, 0), 0)
    Table({"x": x, "y": y}).write(tmp_path / "a.csv")
    Table({"x": u, "y": v}).write(tmp_path / "b.csv")
    (tmp_path / "list.txt").write_text("a.fits a.csv\nb.fits b.csv\n")
    step = TweakReg(
        use_custom_catalogs=True, catfile=str(tmp_path / "list.txt"), catalog_format="csv"
    )
    result = step.run(*files)
    assert result.summary["n_matches"][1] == 40
    # the positions are exact, so the WCS is
    assert frame_error(result[1].wcs, true) < 1e-3


def test_absolute_alignment(files, frames, tmp_path, elsewhere):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-10, 370, (2, 90))
    ra, dec = frames[1].all_pix2world(x, y, 0)
    Table({"RA": ra, "DEC": dec + 0.2 / 3600}).write(tmp_path / "sky.ecsv")
    step = TweakReg(
        abs_refcat=str(tmp_path / "sky.ecsv"), abs_searchrad=1.0, bkg_boxsize=80,
        save_abs_catalog=True, save_results=True,
    )  # fmt: skip
    result = step.run(*files)
    assert list(result.summary["abs_status"]) == ["aligned", "aligned"]
    north = result.summary["abs_shift_north"].to_value("arcsec")
    assert north == pytest.approx([0.2, 0.2], abs=0.004)
    assert "fit_sky_ref.ecsv" in {path.name for path in elsewhere.iterdir()}
    # one image alone can be brought to a catalogue as well
    alone = TweakReg(abs_refcat=str(tmp_path / "sky.ecsv"), abs_searchrad=1.0, bkg_boxsize=80)
    assert list(alone.run(files[0]).summary["abs_status"]) == ["aligned"]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (dict(abs_refcat="GAIADR3"), ParameterError, "GAIADR3 would have to be downloaded"),
        (dict(searchrad=0.0), ParameterError, r"searchrad must be positive \(arcsec\), got 0.0"),
        (dict(abs_tolerance=-1.0), ParameterError, r"abs_tolerance must be positive"),
        (dict(connectivity=6), ParameterError, "connectivity must be 4 or 8, got 6"),
        (dict(sharplo=2.0), ParameterError, "sharplo must be below sharphi"),
    ],
)
def test_bad_parameters(frames, values, error, message):
    images, claimed, _ = frames
    pair = [CCDData(image, unit="adu", wcs=claimed) for image in images]
    with pytest.raises(error, match=message):
        TweakReg(**values).run(*pair)


def test_images_that_cannot_be_aligned(frames):
    images, claimed, _ = frames
    with pytest.raises(InputError, match="image 'image' has no WCS"):
        TweakReg().run(CCDData(images[0], unit="adu"), CCDData(images[1], unit="adu"))
    with pytest.raises(InputError, match="two images or more, or abs_refcat: got one image"):
        TweakReg().run(CCDData(images[0], unit="adu", wcs=claimed))


def test_missing_package(frames, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GalstepError, match=r"TweakReg needs.*'tweakwcs'.*galstep\[align\]"):
        TweakReg().process("a.fits", "b.fits")


# ------------------------------------------------------------------- galaxies

CUTOUT = dict(snr_threshold=5.0, minobj=8, searchrad=0.3, separation=0.1, tolerance=0.15,
              fitgeometry="shift")  # fmt: skip


def test_cutouts_without_wcs(unfitted, scene):
    model = TweakReg(**CUTOUT).run(unfitted)
    truth = {"F090W": (0.3, -0.2), "F277W": (-0.3, 0.3)}
    assert model.bands["F150W"].registration.status == "reference"
    for name, offset in truth.items():
        found = model.bands[name].registration
        assert found.status == "aligned", found.reason
        assert np.abs(np.array(found.offset) - offset).max() < 4 * max(found.offset_err) + 0.02
        assert max(found.offset_err) < 0.15
        assert not model.bands[name].flags & BandFlag.NOT_ALIGNED
    # the caller's model is untouched, the copy has the same pixels
    assert unfitted.bands["F090W"].registration is None
    assert np.array_equal(model.bands["F277W"].data, unfitted.bands["F277W"].data, equal_nan=True)


def test_psf_that_is_not_centred(unfitted):
    """The offset is that of a fit, which places the middle of the PSF's array."""
    model = unfitted.copy()
    band = model.bands["F277W"]
    # the PSF's light 2 samples, half a pixel, to the right
    band.psf = np.roll(band.psf, 2, axis=1)
    found = TweakReg(**CUTOUT).run(model).bands["F277W"].registration
    before = TweakReg(**CUTOUT).run(unfitted).bands["F277W"].registration
    moved = np.array(found.offset) - before.offset
    assert moved == pytest.approx([-0.5, 0.0], abs=0.02)


def test_registration_travels(unfitted, tmp_path):
    model = TweakReg(**CUTOUT).run(unfitted)
    again = GalaxyModel.open(model.save(tmp_path / "x_gal.asdf"))
    for name, band in model.bands.items():
        assert again.bands[name].registration == band.registration or np.isnan(
            band.registration.rms
        )
        assert again.bands[name].registration.offset == band.registration.offset
    part = model.bands["F277W"].crop(5, 5, 60, 60)
    assert part.registration == model.bands["F277W"].registration


def test_filter_that_cannot_be_aligned(unfitted):
    model = unfitted.copy()
    rng = np.random.default_rng(3)
    model.bands["F277W"].data[:] = rng.normal(0, 1, model.bands["F277W"].shape)
    model = TweakReg(**CUTOUT).run(model)
    band = model.bands["F277W"]
    assert band.registration.status == "failed"
    assert band.flags & BandFlag.NOT_ALIGNED
    (reason,) = (r for r in band.reasons if r.startswith("TweakReg: "))
    assert "stars" in reason
    # a second run that works takes flag and reason away
    band.data[:] = unfitted.bands["F277W"].data
    again = TweakReg(**CUTOUT).run(model).bands["F277W"]
    assert again.registration.status == "aligned"
    assert not again.flags & BandFlag.NOT_ALIGNED
    assert not any(r.startswith("TweakReg: ") for r in again.reasons)


def test_filters_with_wcs(unfitted):
    model = unfitted.copy()
    for band in model.bands.values():
        band.wcs = tan_wcs(band.shape, scale=0.03)
    aligned = TweakReg(**CUTOUT).run(model)
    base, other = aligned.bands["F150W"], aligned.bands["F277W"]
    assert base.wcs is not None
    # the star at (x, y) of the base is at (x - 0.3, y + 0.3) of F277W
    sky = base.wcs.all_pix2world(45.0, 45.0, 0)
    assert np.ravel(other.wcs.all_world2pix(*sky, 0)) == pytest.approx((44.7, 45.3), abs=0.12)
    # nothing is left for the fit to be started with
    assert other.registration.offset == pytest.approx((0.0, 0.0), abs=0.02)
    assert other.registration.status == "aligned"


def test_pipeline_skips_it_by_default():
    pipeline = GalPipeline()
    assert next(iter(pipeline.step_defs)) == "tweakreg"
    assert pipeline.tweakreg.skip


def test_pipeline_runs_it_before_the_crop(unfitted, tmp_path, elsewhere):
    path = unfitted.save(tmp_path / "galaxy.asdf")
    others = ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
    steps = {name: {"skip": True} for name in others}
    steps["tweakreg"] = {"skip": False, **CUTOUT}
    model = GalPipeline.call(str(path), steps=steps, qa_figure=False)
    assert model.bands["F090W"].registration.status == "aligned"
    assert model.meta.cal_step.gal_tweakreg == "COMPLETE"
    assert model.meta.history[0].startswith("tweakreg: complete")


def test_no_socket_is_opened(files, elsewhere, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert TweakReg(bkg_boxsize=80).run(*files).summary["status"][1] == "aligned"
