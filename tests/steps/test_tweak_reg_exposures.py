"""TweakReg on exposures: association, library, container, groups, what is saved and told.

The behaviours of jwst's tests of its step, on frames of our own.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.wcs import WCS
from stpipe import Step

from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.steps import TweakReg
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, tan_wcs

pytest.importorskip("tweakwcs")

from exposures import Library, Model, tree_of, write_exposure

from galstep.steps.images.tweak_reg_transfer import transfer_correction
from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

SHAPE = (240, 260)
SHIFT = (4.0, -2.5)
# at two pixels FWHM and 0.031 arcsec
OPTIONS = dict(bkg_boxsize=80, separation=0.1, tolerance=0.15)


@pytest.fixture(scope="module")
def frames():
    """Two frames of one sky, the second moved by `SHIFT`."""
    rng = np.random.default_rng(6)
    x, y = rng.uniform(5, 235, (2, 60))
    flux = 10 ** rng.uniform(2.5, 4, 60)
    psf = default_psf("F150W")
    places = ((x, y), (x + SHIFT[0], y + SHIFT[1]))
    return [star_frame(SHAPE, psf, *xy, flux) + rng.normal(0, 0.5, SHAPE) for xy in places]


@pytest.fixture(scope="module")
def sky():
    """The stars' right ascensions and declinations."""
    rng = np.random.default_rng(6)
    return tan_wcs(SHAPE).all_pix2world(*rng.uniform(5, 235, (2, 60)), 0)


def exposure(data, name, shape=SHAPE, **meta):
    wcs, info = exposure_gwcs(tan_wcs(shape), shape)
    return Model(data, wcs, info, filename=f"{name}_cal.fits", **meta)


@pytest.fixture
def models(frames):
    return [exposure(data, n, group_id=n) for data, n in zip(frames, "ab", strict=True)]


@pytest.fixture
def files(frames, tmp_path):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    for data, name in zip(frames, "ab", strict=True):
        write_exposure(tmp_path / f"{name}_cal.fits", data, wcs, info, note=name)
    return tmp_path


def write_association(folder, *changes):
    changes = changes or ({}, {})
    members = [
        {"expname": f"{n}_cal.fits", "exptype": "science", **own}
        for n, own in zip("ab", changes, strict=True)
    ]
    path = folder / "field_asn.json"
    path.write_text(json.dumps({"products": [{"name": "field", "members": members}]}))
    return path


def frame_error(wcs, shift=SHIFT):
    """rms over the frame against the true WCS of the second exposure, pixels."""
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 259, 5), np.linspace(0, 239, 5)))
    got = tan_wcs(SHAPE, shift=shift).all_world2pix(*wcs(x, y), 0)
    return np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2))


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize("kind", ["list", "arguments", "tuple", "library"])
def test_models_in_any_container(models, kind, elsewhere):
    step = TweakReg(**OPTIONS)
    given = {"list": [models], "arguments": models, "tuple": [tuple(models)],
             "library": [Library(models)]}[kind]  # fmt: skip
    result = step.run(*given)
    assert list(result.summary["status"]) == ["reference", "aligned"]
    assert list(result.summary["group"]) == ["a", "b"]
    assert frame_error(result[1].wcs) < 0.03
    assert [image.meta.cal_step.tweakreg for image in result] == ["COMPLETE", "COMPLETE"]
    # copies of the models are corrected, the caller's are as they were
    assert [m.meta.cal_step.tweakreg for m in result.models] == ["COMPLETE", "COMPLETE"]
    assert frame_error(result.models[1].meta.wcs) < 0.03
    assert [m.meta.cal_step.tweakreg for m in models] == [None, None]
    assert frame_error(models[1].meta.wcs, (0, 0)) < 1e-6


def test_nothing_to_correct(frames, elsewhere):
    same = [exposure(frames[0], n) for n in "ab"]
    result = TweakReg(**OPTIONS).run(same)
    first, second = (image.wcs(0.0, 0.0) for image in result)
    assert np.abs(np.subtract(first, second)).max() < 1e-12


def test_association_on_the_command_line(files, monkeypatch, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    path = write_association(files)
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    Step.from_cmdline(["gal_tweakreg", str(path), *options])
    written = {p.name for p in out.iterdir()}
    assert written == {"field_asn_tweakreg.ecsv", "a_cal_tweakreg.fits", "b_cal_tweakreg.fits"}
    # the file has nothing but a gwcs, and that is the corrected one
    assert frame_error(open_image(out / "b_cal_tweakreg.fits").wcs) < 0.03
    meta = tree_of(out / "b_cal_tweakreg.fits")["meta"]
    assert (meta["cal_step"]["tweakreg"], meta["note"]) == ("COMPLETE", "b")
    assert "v2v3corr" in meta["wcs"].available_frames
    assert frame_error(tree_of(out / "a_cal_tweakreg.fits")["meta"]["wcs"], (0, 0)) < 1e-6


def test_library_of_a_host_pipeline_is_given_back(models, elsewhere):
    """As a step of another package's pipeline: what comes is what goes, corrected."""

    class Host(Step):
        spec = "output_ext = string(default='.fits')"

    library = Library(models)
    found = TweakReg(parent=Host(), skip=False, **OPTIONS).run(library)
    assert found is library
    with library:
        model = library.borrow(1)
        assert frame_error(model.meta.wcs) < 0.03
        assert model.meta.cal_step.tweakreg == "COMPLETE"
        library.shelve(model, 1, modify=False)


# ---------------------------------------------------------------------- groups


def test_chips_of_one_exposure_move_together(frames, elsewhere):
    """The lower halves are one group with the upper ones, in which few stars are left."""
    upper, lower = np.s_[120:], np.s_[:120]
    wcs = tan_wcs(SHAPE)
    images = []
    for data, group in zip(frames, "ab", strict=True):
        for name, part in (("lower", lower), ("upper", upper)):
            image = CCDData(data, unit="adu", wcs=wcs)[part].copy()
            # one star is left in the upper chip of the second exposure
            if (group, name) == ("b", "upper"):
                image.data[:, 40:] = np.random.default_rng(1).normal(0, 0.5, (120, 220))
            images.append(replace(open_image(image), name=f"{group}_{name}", group_id=group))
    result = TweakReg(**OPTIONS).run(images)
    assert list(result.summary["status"]) == ["reference"] * 2 + ["aligned"] * 2
    assert result.summary["n_matches"][3] < 15
    for number in (2, 3):
        shift = [result.summary[f"shift_{axis}"][number].value for axis in "xy"]
        assert shift == pytest.approx(SHIFT, abs=0.1)
    # alone it could not be aligned
    alone = TweakReg(**OPTIONS).run([replace(image, group_id=None) for image in images])
    assert alone.summary["status"][3] == "failed"


def write_chips(path, frame, shift=(0.0, 0.0), keep=None, filters=(None, None)):
    """A file with the lower and the upper half of a frame, as HST's; of the upper ``keep`` rows."""
    hdus = [fits.PrimaryHDU()]
    for version, (part, name) in enumerate(
        zip((np.s_[:120], np.s_[120:]), filters, strict=True), 1
    ):
        ccd = CCDData(frame, unit="adu", wcs=tan_wcs(SHAPE, shift=shift))[part]
        header = ccd.wcs.to_header()
        header["NOTE"] = f"chip {version}"
        if name:
            header["FILTER"] = name
        data = ccd.data.copy()
        if keep is not None and version == 2:
            data[keep:] = np.random.default_rng(1).normal(0, 0.5, data[keep:].shape)
        hdus.append(fits.ImageHDU(data, header, name="SCI", ver=version))
        hdus.append(fits.ImageHDU(np.full(data.shape, 0.5), name="ERR", ver=version))
        hdus.append(fits.ImageHDU(np.zeros(data.shape, np.int16), name="DQ", ver=version))
    fits.HDUList(hdus).writeto(path)
    return path


def test_chips_in_one_file(frames, tmp_path, elsewhere):
    first = write_chips(tmp_path / "a_flc.fits", frames[0])
    second = write_chips(tmp_path / "b_flc.fits", frames[1], keep=20)
    result = TweakReg(save_results=True, **OPTIONS).run(first, second)
    names = [f"{n}_flc_sci{v}" for n in "ab" for v in (1, 2)]
    assert list(result.summary["image"]) == names
    assert list(result.summary["status"]) == ["reference"] * 2 + ["aligned"] * 2
    assert result.summary["n_matches"][3] < 15
    # both chips are corrected in one file, all else is as it was
    written = sorted(path.name for path in elsewhere.iterdir())
    assert written == ["a_flc_tweakreg.ecsv", "a_flc_tweakreg.fits", "b_flc_tweakreg.fits"]
    with fits.open("b_flc_tweakreg.fits") as hdulist, fits.open(second) as before:
        assert [(h.name, h.ver) for h in hdulist] == [(h.name, h.ver) for h in before]
        for version, row in ((1, 0), (2, 120)):
            header = hdulist["SCI", version].header
            assert header["NOTE"] == f"chip {version}"
            found = WCS(header).all_pix2world(30.0, 40.0, 0)
            true = tan_wcs(SHAPE, shift=SHIFT).all_pix2world(30.0, 40.0 + row, 0)
            assert np.abs(np.subtract(found, true)).max() * 3.6e6 < 2  # mas
        assert hdulist[0].header["S_TWKREG"] == "COMPLETE"


def test_filters_in_one_file_are_no_chips(frames, tmp_path, elsewhere):
    """They are aligned with one another."""
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU()]
    for version, (data, name) in enumerate(zip(frames, ("F1", "F2"), strict=True), 1):
        header = tan_wcs(SHAPE).to_header()
        header["FILTER"] = name
        hdus.append(fits.ImageHDU(data, header, name="SCI", ver=version))
    fits.HDUList(hdus).writeto(path)
    result = TweakReg(save_results=True, **OPTIONS).run(path)
    assert list(result.summary["status"]) == ["reference", "aligned"]
    header = WCS(fits.getheader("a_tweakreg.fits", ("SCI", 2)))
    assert frame_error(lambda x, y: header.all_pix2world(x, y, 0)) < 0.03


def test_chips_of_one_file_alone(frames, tmp_path, sky, elsewhere):
    path = write_chips(tmp_path / "a_flc.fits", frames[1])
    with pytest.raises(InputError, match="two images or more, or abs_refcat: got one image"):
        TweakReg(**OPTIONS).run(path)
    catalogue = write_catalogue(tmp_path / "s.ecsv", sky)
    result = TweakReg(abs_refcat=catalogue, abs_searchrad=1.0, **OPTIONS).run(path)
    assert list(result.summary["abs_status"]) == ["aligned"] * 2
    for number in (0, 1):
        shift = [result.summary[f"abs_shift_{axis}"][number].value for axis in "xy"]
        assert shift == pytest.approx(SHIFT, abs=0.1)


@pytest.mark.parametrize("kind", ["models", "library", "association"])
def test_one_group_is_told(frames, files, kind, caplog, elsewhere):
    models = [exposure(data, n, group_id="a") for data, n in zip(frames, "ab", strict=True)]
    association = write_association(files, {"group_id": 5}, {"group_id": 5})
    given = {"models": models, "library": Library(models), "association": str(association)}[kind]
    result = TweakReg(**OPTIONS).run(given)
    assert "at least two exposures are needed" in caplog.text
    assert list(result.summary["status"]) == ["failed", "failed"]
    assert "at least two exposures are needed" in result.summary["reason"][0]
    assert [image.meta.cal_step.tweakreg for image in result] == ["FAILED", "FAILED"]
    assert result.meta.cal_step.gal_tweakreg == "SKIPPED"
    assert frame_error(result[1].wcs, (0, 0)) < 1e-6


def test_library_of_one(models, elsewhere, caplog):
    result = TweakReg(**OPTIONS).run(Library(models[:1]))
    assert "at least two exposures are needed" in caplog.text
    assert result[0].meta.cal_step.tweakreg == "FAILED"
    with pytest.raises(InputError, match="two images or more, or abs_refcat: got one image"):
        TweakReg(**OPTIONS).run(models[0])


def test_failure_of_one_is_told_in_its_file(models, tmp_path, elsewhere):
    """Where jwst says COMPLETE."""
    rng = np.random.default_rng(8)
    other = exposure(rng.normal(0, 0.5, SHAPE), "c", group_id="c")
    result = TweakReg(**OPTIONS).run([*models, other])
    assert [i.meta.cal_step.tweakreg for i in result] == ["COMPLETE", "COMPLETE", "FAILED"]
    path = tmp_path / "c.fits"
    image = replace(result[2], source=None)
    image.save(path)
    assert fits.getval(path, "S_TWKREG") == "FAILED"


# -------------------------------------------------------------------- absolute


def write_catalogue(path, sky, north=0.0):
    Table({"RA": sky[0], "DEC": sky[1] + north / 3600}).write(path)
    return str(path)


def test_one_group_and_a_catalogue(frames, sky, tmp_path, elsewhere):
    """Both images are one exposure: they move together onto the catalogue."""
    models = [exposure(frames[0], n, group_id="a") for n in "ab"]
    step = TweakReg(
        abs_refcat=write_catalogue(tmp_path / "s.ecsv", sky, 0.31), abs_searchrad=1.0, **OPTIONS
    )
    result = step.run(models)
    assert list(result.summary["status"]) == ["not tried"] * 2
    assert list(result.summary["abs_status"]) == ["aligned"] * 2
    north = result.summary["abs_shift_north"].to_value("arcsec")
    assert north == pytest.approx([0.31, 0.31], abs=0.003)
    assert [image.meta.cal_step.tweakreg for image in result] == ["COMPLETE"] * 2


@pytest.mark.parametrize("how", ["table", "path", "call", "SkyCoord"])
def test_catalogue_from_python(frames, sky, tmp_path, how, elsewhere):
    """A table, a path or coordinates do what the name of a file does."""
    path = write_catalogue(tmp_path / "s.ecsv", sky, 0.31)
    given = {
        "path": Path(path),
        "SkyCoord": SkyCoord(sky[0] * u.deg, (sky[1] + 0.31 / 3600) * u.deg),
    }.get(how, Table.read(path))
    options = dict(abs_refcat=given, abs_searchrad=1.0, **OPTIONS)
    image = exposure(frames[0], "a")
    if how == "call":
        result = TweakReg.call(image, configure_log=False, skip=False, **options)
    else:
        result = TweakReg(**options).run(image)
    north = result.summary["abs_shift_north"].to_value("arcsec")
    assert north == pytest.approx([0.31], abs=0.003)


@pytest.mark.parametrize("kind", ["GLON, GLAT", "FK4", "sky_centroid", "ALPHA_J2000", "hours"])
def test_catalogue_in_any_frame(frames, sky, tmp_path, kind, elsewhere):
    """The catalogue lies 0.31 arcsec to the north, whatever it is written in."""
    place = SkyCoord(sky[0] * u.deg, (sky[1] + 0.31 / 3600) * u.deg)
    table = {
        "GLON, GLAT": dict(GLON=place.galactic.l.deg, GLAT=place.galactic.b.deg),
        "FK4": dict(sky_centroid=place.fk4),
        "sky_centroid": dict(sky_centroid=place),
        "ALPHA_J2000": dict(ALPHA_J2000=place.ra.deg, DELTA_J2000=place.dec.deg),
        "hours": dict(RA=place.ra.to_string("hourangle", sep=":", precision=7),
                      DEC=place.dec.to_string("deg", sep=":", precision=7)),
    }[kind]  # fmt: skip
    QTable(table).write(tmp_path / "s.ecsv")
    step = TweakReg(abs_refcat=str(tmp_path / "s.ecsv"), abs_searchrad=1.0, **OPTIONS)
    result = step.run(exposure(frames[0], "a"))
    north = result.summary["abs_shift_north"][0].to_value("arcsec")
    east = result.summary["abs_shift_east"][0].to_value("arcsec")
    assert (east, north) == pytest.approx((0.0, 0.31), abs=0.003)


def test_images_that_overlap_the_catalogue_only(frames, sky, tmp_path, elsewhere):
    halves = []
    for number, part in enumerate((np.s_[:, :125], np.s_[:, 135:])):
        image = CCDData(frames[number], unit="adu", wcs=tan_wcs(SHAPE))[part]
        halves.append(image)
    catalogue = write_catalogue(tmp_path / "s.ecsv", sky)
    step = TweakReg(abs_refcat=catalogue, abs_searchrad=1.0, abs_minobj=10, minobj=10, **OPTIONS)
    result = step.run(*halves)
    assert list(result.summary["status"]) == ["reference", "failed"]
    assert list(result.summary["abs_status"]) == ["aligned", "aligned"]
    shift = [result.summary[f"abs_shift_{axis}"].value for axis in "xy"]
    assert np.transpose(shift) == pytest.approx(np.array([(0, 0), SHIFT]), abs=0.1)
    assert result[1].meta.cal_step.tweakreg == "COMPLETE"
    # nothing is left of the claimed WCS: the second half is where it is on the sky
    found = result[1].wcs.all_pix2world(50.0, 100.0, 0)
    true = tan_wcs(SHAPE, shift=SHIFT).all_pix2world(185.0, 100.0, 0)
    assert np.abs(np.subtract(found, true)).max() * 3.6e6 < 3  # mas


# ------------------------------------------------------------------ catalogues


@pytest.mark.parametrize("table_format", ["ecsv", "fits"])
def test_catalogs_without_results(models, tmp_path, elsewhere, table_format):
    out = tmp_path / "new folder"
    options = dict(save_catalogs=True, catalog_format=table_format, output_dir=str(out))
    result = TweakReg(**options, **OPTIONS).run(models)
    assert {p.name for p in out.iterdir()} == {f"{n}_cal_cat.{table_format}" for n in "ab"}
    assert not list(elsewhere.iterdir())
    table = QTable.read(out / f"b_cal_cat.{table_format}")
    assert len(table) == result.summary["n_stars"][1]
    assert {"id", "x", "y", "flux", "ra", "dec"} <= set(table.colnames)


def test_catalog_of_one_image(models, elsewhere, caplog):
    result = TweakReg(save_catalogs=True, **OPTIONS).run(models[0])
    assert [p.name for p in elsewhere.iterdir()] == ["a_cal_cat.ecsv"]
    assert len(QTable.read("a_cal_cat.ecsv")) > 40
    assert "at least two exposures are needed" in caplog.text
    assert result[0].meta.cal_step.tweakreg == "FAILED"


def test_absolute_catalog_without_results(models, sky, tmp_path, elsewhere):
    step = TweakReg(
        abs_refcat=write_catalogue(tmp_path / "s.ecsv", sky), save_abs_catalog=True, **OPTIONS
    )
    step.run(models)
    assert len(QTable.read("fit_s_ref.ecsv")) == 60


# -------------------------------------------------------------------- finding


def square_stars():
    """Noiseless flat-topped stars on a constant background, at places known exactly."""
    rng = np.random.default_rng(26)
    x, y = (rng.permutation(25)[:21] * 9 + 12 for _ in "xy")
    data = np.full(SHAPE, 0.001)
    for x_i, y_i in zip(x, y, strict=True):
        for half, value in ((3, 0.1), (2, 0.3), (1, 0.5), (0, 1.0)):
            data[y_i - half : y_i + half + 1, x_i - half : x_i + half + 1] = value
    return data, x, y


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
def test_noiseless_frames_find_their_stars(starfinder, elsewhere):
    """Also where the error plane is zero, as it is in jwst's models that have none."""
    data, x, y = square_stars()
    moved = np.full(SHAPE, 0.001)
    moved[:-9] = data[9:]
    models = [exposure(d.astype("f4"), n) for d, n in ((data, "a"), (moved, "b"))]
    result = TweakReg(starfinder=starfinder, save_catalogs=True).run(models)
    table = QTable.read("a_cal_cat.ecsv")
    assert len(table) == 21
    found = np.array(sorted(zip(table["x"].value, table["y"].value, strict=True)))
    assert found == pytest.approx(np.array(sorted(zip(x, y, strict=True))), abs=0.01)
    assert result.summary["status"][1] == "aligned"
    assert result.summary["shift_y"][1].value == pytest.approx(-9.0, abs=0.01)


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
@pytest.mark.parametrize("kind", ["blank", "masked", "nan"])
def test_frames_without_stars(models, starfinder, kind, elsewhere):
    if kind == "masked":
        models[1].dq[:] = 1
    else:
        models[1].data = np.full(SHAPE, 0.0 if kind == "blank" else np.nan)
    result = TweakReg(starfinder=starfinder, **OPTIONS).run(models)
    assert list(result.summary["status"]) == ["failed", "failed"]
    assert result.summary["reason"][1] == "no stars found"
    assert result.summary["n_stars"][1] == 0


def test_stars_outside_the_bounding_box(models, elsewhere):
    """A gwcs says where it is defined; stars elsewhere are no stars of it."""
    for model in models:
        model.meta.wcs.bounding_box = ((-0.5, 149.5), (-0.5, 239.5))
    TweakReg(save_catalogs=True, **OPTIONS).run(models)
    for name in "ab":
        table = QTable.read(f"{name}_cal_cat.ecsv")
        assert 20 < len(table) < 50
        assert table["x"].value.max() < 149.5


# ------------------------------------------------------ what jwst's step refuses


@pytest.mark.parametrize("prefix", ["", "abs_"])
def test_close_tolerance_confuses_nothing(models, sky, tmp_path, prefix, elsewhere):
    """jwst's step refuses tolerance > separation / sqrt(2); pairs here are the mutual nearest."""
    options = {**OPTIONS, f"{prefix}separation": 1.0, f"{prefix}tolerance": 1.0}
    step = TweakReg(abs_refcat=write_catalogue(tmp_path / "s.ecsv", sky), **options)
    result = step.run(models)
    assert list(result.summary["abs_status"]) == ["aligned"] * 2
    assert frame_error(result[1].wcs) < 0.04


# -------------------------------------------------------------------- transfer


@pytest.mark.parametrize("kind", ["model", "file", "fits wcs"])
def test_correction_given_to_another_image(models, files, kind, elsewhere):
    result = TweakReg(**OPTIONS).run(models)
    source = {
        "model": exposure(np.zeros(SHAPE), "mask"),
        "file": files / "b_cal.fits",
        "fits wcs": CCDData(np.zeros(SHAPE), unit="adu", wcs=tan_wcs(SHAPE)),
    }[kind]
    image = transfer_correction(result, 1, source)
    x, y = np.array([0.0, 259.0, 100.0]), np.array([0.0, 239.0, 50.0])
    found, expected = image.wcs.pixel_to_world_values(x, y), result[1].wcs(x, y)
    # a FITS WCS has the correction to the curvature of the sky
    limit = 1e-9 if kind == "fits wcs" else 5e-11
    assert np.abs(np.subtract(found, expected)).max() < limit
    again = open_image(image.save("again.fits")) if kind == "file" else image
    assert np.abs(np.subtract(again.wcs.pixel_to_world_values(x, y), expected)).max() < limit


def test_correction_that_there_is_not(models, elsewhere):
    models[1].data = np.zeros(SHAPE)
    result = TweakReg(**OPTIONS).run(models)
    with pytest.raises(InputError, match="image 'b_cal' was not aligned: no stars found"):
        transfer_correction(result, 1, models[0])
    result = TweakReg(**OPTIONS).run([exposure(models[0].data, n) for n in "ab"])
    with pytest.raises(InputError, match="image 'c' has no WCS"):
        transfer_correction(result, 1, SkyImage("c", np.zeros(SHAPE)))


# ------------------------------------------------------------- the same names


def test_images_of_one_name_have_products_of_their_own(frames, tmp_path, elsewhere):
    for data, folder in zip(frames, "xy", strict=True):
        (tmp_path / folder).mkdir()
        header = tan_wcs(SHAPE).to_header()
        header["FROM"] = folder
        fits.PrimaryHDU(data, header).writeto(tmp_path / folder / "exp_cal.fits")
    paths = [tmp_path / folder / "exp_cal.fits" for folder in "xy"]
    result = TweakReg(save_results=True, **OPTIONS).run(*paths)
    assert list(result.summary["image"]) == ["x_exp_cal", "y_exp_cal"]
    for folder in "xy":
        assert fits.getval(f"{folder}_exp_cal_tweakreg.fits", "FROM") == folder


def test_mosaic_with_gwcs_only(frames, tmp_path, elsewhere):
    """A resampled image, no exposure: its gwcs is corrected on the side of the sky."""
    for data, name in zip(frames, "ab", strict=True):
        write_exposure(tmp_path / f"{name}.fits", data, mosaic_gwcs(tan_wcs(SHAPE), SHAPE))
    TweakReg(save_results=True, **OPTIONS).run(tmp_path / "a.fits", tmp_path / "b.fits")
    assert frame_error(open_image("b_tweakreg.fits").wcs) < 0.03
    header = open_image("b_tweakreg.fits").fits_wcs
    assert frame_error(lambda x, y: header.all_pix2world(x, y, 0)) < 0.03
