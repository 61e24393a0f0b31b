"""What is written: the corrected WCS in every place where it stands, and nothing else."""

import io
from dataclasses import replace
from types import SimpleNamespace

import asdf
import numpy as np
import pytest
from astropy.io import fits

from galstep.datamodels.images.embedded_wcs import read_embedded_meta, with_embedded_meta
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.image_writer import corrected_model
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.testing.star_frames import tan_wcs

pytest.importorskip("gwcs")

from exposures import Model, tree_of, write_exposure

from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

SHAPE = (40, 50)
MOVED = tan_wcs(SHAPE, shift=(3.0, 1.0), rotation=0.2)


@pytest.fixture
def data():
    return np.arange(2000.0).reshape(SHAPE)


def done(image, status="COMPLETE", **changes):
    meta = SimpleNamespace(cal_step=SimpleNamespace(tweakreg=status))
    return replace(image, meta=meta, **changes)


def places(wcs):
    return np.array(wcs.pixel_to_world_values([0, 49, 20], [0, 39, 5]))


@pytest.mark.parametrize("header", [None, tan_wcs(SHAPE).to_header()], ids=["gwcs only", "both"])
def test_gwcs_in_a_file(data, tmp_path, header):
    path = write_exposure(
        tmp_path / "a.fits", data, mosaic_gwcs(tan_wcs(SHAPE), SHAPE), header=header,
        table=np.arange(5000.0), note="kept", cal_step={"flat": "COMPLETE"},
    )  # fmt: skip
    image = open_image(path)
    assert (image.fits_wcs is None) == (header is None)
    fits_wcs = None if header is None else MOVED
    image = done(image, wcs=mosaic_gwcs(MOVED, SHAPE), fits_wcs=fits_wcs)
    again = open_image(image.save(tmp_path / "out.fits"))
    assert places(again.wcs) == pytest.approx(places(MOVED), abs=1e-10)
    # the header too: where there was none, as an approximation
    assert places(again.fits_wcs) == pytest.approx(places(MOVED), abs=1e-9)
    meta = tree_of(tmp_path / "out.fits")["meta"]
    assert meta["note"] == "kept"
    # arrays that the extension holds itself are still in it
    assert np.array_equal(np.asarray(meta["table"]), np.arange(5000.0))
    assert meta["cal_step"] == {"flat": "COMPLETE", "tweakreg": "COMPLETE"}
    assert fits.getval(tmp_path / "out.fits", "S_TWKREG") == "COMPLETE"
    assert np.array_equal(again.data, data)


def test_gwcs_with_a_lookup_table(data, tmp_path):
    """Its arrays are in binary blocks of the extension."""
    import gwcs
    from astropy.modeling import models

    x = models.Tabular1D(np.arange(-1.0, 300.0), lookup_table=np.arange(-1.0, 300.0))
    wcs = mosaic_gwcs(tan_wcs(SHAPE), SHAPE)
    pipeline = [(step.frame, step.transform) for step in wcs.pipeline]
    pipeline[0] = pipeline[0][0], x & models.Identity(1) | pipeline[0][1]
    image = open_image(write_exposure(tmp_path / "a.fits", data, gwcs.WCS(pipeline)))
    assert places(image.wcs) == pytest.approx(places(tan_wcs(SHAPE)), abs=1e-10)
    moved = [(step.frame, step.transform) for step in mosaic_gwcs(MOVED, SHAPE).pipeline]
    moved[0] = moved[0][0], x & models.Identity(1) | moved[0][1]
    again = open_image(done(image, wcs=gwcs.WCS(moved)).save(tmp_path / "out.fits"))
    assert places(again.wcs) == pytest.approx(places(MOVED), abs=1e-10)


def test_image_that_was_not_aligned(data, tmp_path):
    header = tan_wcs(SHAPE, rotation=5.0).to_header()
    header["S_REGION"] = "POLYGON ICRS 1 2 3 4"
    path = write_exposure(tmp_path / "a.fits", data, mosaic_gwcs(MOVED, SHAPE), header=header)
    image = done(open_image(path), "FAILED", wcs_is_original=True)
    image.save(tmp_path / "out.fits")
    before, after = (fits.getheader(p, "SCI") for p in (path, tmp_path / "out.fits"))
    assert repr(before) == repr(after)
    assert fits.getval(tmp_path / "out.fits", "S_TWKREG") == "FAILED"
    assert tree_of(tmp_path / "out.fits")["meta"]["cal_step"] == {"tweakreg": "FAILED"}
    assert places(open_image(tmp_path / "out.fits").wcs) == pytest.approx(places(MOVED))


def corners(region):
    return np.array(region.split()[2:], dtype=float).reshape(-1, 2)


def test_region_of_the_header(data, tmp_path):
    header = tan_wcs(SHAPE).to_header()
    header["S_REGION"] = "POLYGON ICRS  1 2 3 4 5 6 7 8"
    path = write_exposure(tmp_path / "a.fits", data, mosaic_gwcs(MOVED, SHAPE), header=header)
    image = done(open_image(path), wcs=mosaic_gwcs(MOVED, SHAPE), fits_wcs=MOVED)
    image.save(tmp_path / "out.fits")
    found = corners(fits.getheader(tmp_path / "out.fits", "SCI")["S_REGION"])
    expected = MOVED.all_pix2world([[-0.5, -0.5], [-0.5, 39.5], [49.5, 39.5], [49.5, -0.5]], 0)
    assert found == pytest.approx(expected, abs=2e-9)


def test_image_from_arrays_keeps_its_gwcs(data, tmp_path):
    image = done(SkyImage("a", data, wcs=mosaic_gwcs(MOVED, SHAPE)))
    again = open_image(image.save(tmp_path / "a.fits"))
    assert again.wcs.available_frames == ["detector", "world"]
    assert places(again.wcs) == pytest.approx(places(MOVED), abs=1e-10)
    assert places(again.fits_wcs) == pytest.approx(places(MOVED), abs=1e-9)


def test_gwcs_that_fits_cannot_write(data, tmp_path, caplog):
    """Without a bounding box there is no approximation: the header is left, and it says so."""
    wcs = mosaic_gwcs(MOVED, SHAPE)
    wcs.bounding_box = None
    path = write_exposure(tmp_path / "a.fits", data, mosaic_gwcs(tan_wcs(SHAPE), SHAPE))
    again = open_image(done(open_image(path), wcs=wcs).save(tmp_path / "out.fits"))
    assert again.fits_wcs is None
    assert "has no FITS approximation" in caplog.text
    assert places(again.wcs) == pytest.approx(places(MOVED), abs=1e-10)


def test_model(data):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    stale = {**info, "s_region": "POLYGON ICRS 1 2", "cdelt1": 5.0, "pc1_1": 3.0, "a_order": 3,
             "a_2_1": 1.0}  # fmt: skip
    model = Model(data, wcs, stale, filename="a_cal.fits")
    image = done(open_image(model), wcs=exposure_gwcs(MOVED, SHAPE)[0])
    changed = corrected_model(image)
    assert places(changed.meta.wcs) == pytest.approx(places(MOVED), abs=1e-10)
    assert changed.meta.cal_step.tweakreg == "COMPLETE"
    keywords = changed.meta.wcsinfo.instance
    assert not {"cdelt1", "pc1_1", "a_2_1"} & set(keywords)
    header = fits.Header({k.upper(): v for k, v in keywords.items() if np.isscalar(v)})
    from astropy.wcs import WCS

    assert places(WCS(header)) == pytest.approx(places(MOVED), abs=1e-9)
    assert corners(keywords["s_region"]).shape == (4, 2)
    assert keywords["v2_ref"] == info["v2_ref"]
    # the caller's is as it was
    assert model.meta.cal_step.tweakreg is None
    assert model.meta.wcsinfo.instance == stale
    failed = corrected_model(done(open_image(model), "FAILED", wcs_is_original=True))
    assert failed.meta.wcsinfo.instance == stale
    assert failed.meta.cal_step.tweakreg == "FAILED"


def test_extension_is_made_only_if_asked_for(data):
    hdulist = fits.HDUList([fits.PrimaryHDU(data)])
    with_embedded_meta(hdulist, cal_step={"tweakreg": "FAILED"})
    assert len(hdulist) == 1
    assert read_embedded_meta(hdulist) == {}
    with_embedded_meta(hdulist, cal_step={"tweakreg": "FAILED"}, make=True)
    assert read_embedded_meta(hdulist)["cal_step"] == {"tweakreg": "FAILED"}
    raw = np.asarray(hdulist["ASDF"].data["ASDF_METADATA"]).tobytes()
    with asdf.open(io.BytesIO(raw)) as file:
        assert file["meta"]["cal_step"]["tweakreg"] == "FAILED"


def test_extension_that_cannot_be_read():
    column = fits.Column("ASDF_METADATA", "4B", array=np.zeros((1, 4), dtype=np.uint8))
    table = fits.BinTableHDU.from_columns([column], name="ASDF")
    assert read_embedded_meta(fits.HDUList([fits.PrimaryHDU(), table])) == {}


@pytest.mark.parametrize("content", [b"no ASDF", b"#ASDF 1.0.0\n%YAML 1.1\n--- {meta: 3}\n...\n"])
def test_stale_gwcs_does_not_stay(data, tmp_path, content, caplog):
    """Where the gwcs cannot be read the header is corrected, and the two would contradict."""
    column = fits.Column("ASDF_METADATA", f"{len(content)}B",
                         array=np.frombuffer(content, np.uint8)[None])  # fmt: skip
    table = fits.BinTableHDU.from_columns([column], name="ASDF")
    science = fits.ImageHDU(data, tan_wcs(SHAPE).to_header(), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), science, table]).writeto(tmp_path / "a.fits")
    image = done(open_image(tmp_path / "a.fits"), wcs=MOVED)
    image.save(tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdulist:
        assert "ASDF" not in hdulist
    assert "it is left out of the output" in caplog.text
    # of an image that was not aligned it stays
    done(open_image(tmp_path / "a.fits"), "FAILED", wcs_is_original=True).save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdulist:
        assert np.asarray(hdulist["ASDF"].data["ASDF_METADATA"]).tobytes() == content
