"""Knots and companions in the products: nothing lost, everything counted once."""

from dataclasses import replace

import asdf
import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from sample_models import FLUX, ORIGIN, SHAPE
from test_asdf_io import assert_same_model

from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.serialise import LATER
from galstep.datamodels.model.band import MODEL_IMAGES
from galstep.datamodels.products import asdf_io
from galstep.datamodels.products.galaxy_products import write_products
from galstep.datamodels.products.image_products import write_fits_images
from galstep.datamodels.tables.galaxy_tables import (
    knot_table,
    make_tables,
    phot_table,
    sersic_table,
    star_table,
)
from galstep.datamodels.tables.totals import total_flux
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.records import StarList

KNOT_FLUX = {"F150W": 60.0, "F090W": 40.0}
KNOTS = 3


def make_knots(name):
    number = np.arange(KNOTS, dtype=float)
    return StarList(
        star_id=100 + np.arange(KNOTS),
        x=14.0 + number,
        y=10.0 + number,
        flux=KNOT_FLUX[name] * np.array([0.5, 0.3, 0.2]),
        x_err=np.full(KNOTS, 0.05),
        y_err=np.full(KNOTS, 0.06),
        flux_err=np.full(KNOTS, 2.0),
        chi2_reduced=np.ones(KNOTS),
        flags=np.zeros(KNOTS, int),
        star_probability=np.array([0.01, 0.2, 0.45]),
    )


def a_profile(band, flux, galaxy_id=0, shift=(0, 0)):
    first = band.fit.sersic[0]
    params, covariance = first.params.moved(*shift), first.covariance.copy()
    return replace(first, params=params, flux=flux, galaxy_id=galaxy_id, covariance=covariance)


@pytest.fixture
def structured(model):
    """Two components, two companions and three knots in each of the measured filters."""
    rng = np.random.default_rng(3)
    for name in FLUX:
        band = model.bands[name]
        band.knots, band.companions = rng.normal(size=(2, *SHAPE))
        parts = (
            a_profile(band, 0.75 * FLUX[name]),
            a_profile(band, 0.25 * FLUX[name]),
            a_profile(band, 70.0, 1, (5, 3)),
            a_profile(band, 20.0, 2, (-9, -4)),
        )
        band.fit = replace(
            band.fit,
            sersic=parts,
            knots=make_knots(name),
            knot_flux=KNOT_FLUX[name],
            total_flux=FLUX[name] + KNOT_FLUX[name],
            total_flux_err=11.0,
            core_star_share=0.05,
            n_core_found=5,
            n_core_expected=1.75,
            flags=int(BandFlag.KNOTS | BandFlag.COMPANIONS),
        )
    return model


# -------------------------------------------------------------------- images


def test_the_residual_is_what_all_parts_leave(structured):
    band = structured.bands["F150W"]
    parts = (getattr(band, name) for name in ("galaxy", "knots", "companions", "stars", "sky"))
    expected = np.where(band.mask, np.nan, band.data - sum(parts))
    np.testing.assert_allclose(band.residual, expected, rtol=0, atol=1e-12)


def test_knots_and_companions_are_no_stars(structured):
    band = structured.bands["F150W"]
    np.testing.assert_array_equal(band.star_subtracted, band.data - band.stars)
    np.testing.assert_array_equal(band.target_image, band.galaxy + band.knots)
    np.testing.assert_allclose(
        band.target_data, band.data - band.stars - band.sky - band.companions, atol=1e-12
    )


def test_a_fit_without_their_images_has_none_of_their_light(structured):
    band = structured.bands["F150W"]
    band.knots = band.companions = None
    model = band.galaxy + band.stars + band.sky
    np.testing.assert_allclose(band.residual, np.where(band.mask, np.nan, band.data - model))
    assert band.target_image is band.galaxy
    np.testing.assert_allclose(band.target_data, band.data - band.stars - band.sky)


def test_results_are_cleared_together(structured):
    band = structured.bands["F150W"]
    band.clear_results()
    assert all(getattr(band, name) is None for name in (*MODEL_IMAGES, "fit", "aperture"))
    assert band.residual is band.star_subtracted is band.target_data is band.target_image is None
    assert band.psf_kernel is not None


@pytest.mark.parametrize("name", ["knots", "companions"])
def test_a_part_must_have_the_shape_of_the_data(structured, name):
    band = structured.bands["F150W"]
    with pytest.raises(InputError, match=f"{name} of filter 'F150W' must have the shape"):
        replace(band, **{name: np.zeros((3, 3))})


def test_a_copy_shares_nothing(structured):
    copy = structured.copy()
    for name in FLUX:
        for part in ("knots", "companions"):
            own, other = (getattr(m.bands[name], part) for m in (structured, copy))
            assert not np.shares_memory(own, other)
            np.testing.assert_array_equal(own, other)


def test_a_crop_has_no_results(structured):
    part = structured.bands["F150W"].crop(2, 3, 10, 8)
    assert all(getattr(part, name) is None for name in (*MODEL_IMAGES, "fit"))


# ----------------------------------------------------------------- the product


def test_model_comes_back(structured, tmp_path):
    assert_same_model(structured, GalaxyModel.open(structured.save(tmp_path / "s_gal.asdf")))


@pytest.mark.parametrize("knots", ["none", "some"])
def test_saving_twice_gives_the_same_bytes(model, structured, tmp_path, knots):
    if knots == "none":
        for name in FLUX:
            band = structured.bands[name]
            band.fit = replace(band.fit, knots=StarList.empty(), knot_flux=0.0)
    first = structured.save(tmp_path / "first.asdf")
    again = GalaxyModel.open(first).save(tmp_path / "again.asdf")
    with open(first, "rb") as one, open(again, "rb") as other:
        assert one.read() == other.read()


def as_of_an_earlier_version(path, to):
    """The product without what earlier versions did not know."""
    with asdf.open(path, memmap=False, lazy_load=False) as file:
        tree = dict(file.tree)
        for band in tree["bands"].values():
            del band["knots"], band["companions"]
            fit = band["fit"]
            if fit is None:
                continue
            for name in LATER["BandFit"]:
                del fit[name]
            for part in fit["sersic"]:
                del part["galaxy_id"]
            del fit["stars"]["star_probability"]
        del tree["tables"]["knots"]
        asdf.AsdfFile(tree).write_to(to)
    return to


def test_a_product_of_an_earlier_version_is_read(model, tmp_path):
    old = as_of_an_earlier_version(model.save(tmp_path / "new.asdf"), tmp_path / "old_gal.asdf")
    again = GalaxyModel.open(old)
    for name in FLUX:
        band, before = again.bands[name], model.bands[name]
        assert band.knots is None and band.companions is None
        np.testing.assert_array_equal(band.residual, before.residual)
        assert total_flux(band) == (before.fit.flux, before.fit.flux_err)
        assert len(band.fit.knots) == 0 and band.fit.companions == ()
        assert [fit.galaxy_id for fit in band.fit.target] == [0]
        assert (band.fit.stars.star_probability == 1).all()
    before, after = (make_tables(one) for one in (model, again))
    for kind, table in before.items():
        for column in table.colnames:
            np.testing.assert_array_equal(after[kind][column], table[column], err_msg=column)
    assert len(after["knots"]) == 0
    np.testing.assert_array_equal(after["phot"]["total_flux"], before["phot"]["total_flux"])
    again.save(tmp_path / "again_gal.asdf")


def test_lists_of_unequal_arrays_are_refused(structured, tmp_path, monkeypatch):
    band = structured.bands["F150W"]
    band.fit = replace(band.fit, knots=replace(band.fit.knots, flux=np.ones(2)))
    path = tmp_path / "g_gal.asdf"
    monkeypatch.setattr(asdf_io, "make_tables", lambda model: {})  # of such a list there is none
    monkeypatch.setattr(asdf_io, "GALAXY_SCHEMA_URI", None)
    structured.save(path)
    with pytest.raises(InputError, match="bands/F150W: fit/knots: arrays must be of one length"):
        GalaxyModel.open(path)


# --------------------------------------------------------------------- tables


def test_every_galaxy_numbers_its_components(structured):
    table = sersic_table(structured)
    rows = table[table["filter"] == "F150W"]
    assert list(rows["galaxy_id"]) == [0, 0, 1, 2]
    assert list(rows["component"]) == [0, 1, 0, 0]
    np.testing.assert_allclose(rows["flux"].value, [750, 250, 70, 20])
    np.testing.assert_allclose(rows["x_0"].value - ORIGIN[0], [15.25, 15.25, 20.25, 6.25])


def test_the_total_has_components_and_knots_but_no_companion(structured):
    row = phot_table(structured)[0]
    assert row["total_flux"] == 1060 * u.Unit("MJy pix / sr")
    assert row["total_flux_err"] == 11 * u.Unit("MJy pix / sr")
    assert row["knot_flux"] == 60 * u.Unit("MJy pix / sr")
    mag = 28.0865 - 2.5 * np.log10(1060)
    assert row["total_mag_ab"].to_value("mag") == pytest.approx(mag, abs=1e-4)
    error = 2.5 / np.log(10) * 11 / 1060
    assert row["total_mag_ab_err"].to_value("mag") == pytest.approx(error, rel=1e-9)
    assert np.isnan(row["total_mag_ab_limit"])
    assert (row["n_knots"], row["n_stars"], row["n_core_found"]) == (KNOTS, 2, 5)
    assert (row["core_star_share"], row["n_core_expected"]) == (0.05, 1.75)


def test_totals_are_converted_to_the_unit_of_the_first_filter(structured):
    structured.bands["F090W"].unit = "kJy/sr"
    row = phot_table(structured)[1]
    assert row["total_flux"].to_value("kJy pix / sr") == pytest.approx(540)
    assert row["knot_flux"].unit == u.Unit("MJy pix / sr")
    assert row["knot_flux"].value == pytest.approx(0.04)


def test_colours_are_those_of_the_totals(structured):
    covariance = structured.joint.flux_covariance
    row = phot_table(structured)[1]
    assert row["color"].value == pytest.approx(-2.5 * np.log10(540 / 1060))
    log_variance = (
        covariance[0, 0] / 1060**2 + covariance[1, 1] / 540**2 - 2 * covariance[0, 1] / (1060 * 540)
    )
    expected = 2.5 / np.log(10) * np.sqrt(log_variance)
    assert row["color_err"].value == pytest.approx(expected, rel=1e-9)


def test_stars_and_knots_have_a_table_each(structured):
    stars, knots = star_table(structured), knot_table(structured)
    assert knots.colnames == stars.colnames
    assert set(stars["star_id"]) == {3, 7} and set(knots["star_id"]) == {100, 101, 102}
    own = knots[knots["filter"] == "F150W"]
    np.testing.assert_allclose(own["flux"].value, [30, 18, 12])
    np.testing.assert_allclose(own["x"].value, 14 + np.arange(3) + ORIGIN[0])
    np.testing.assert_array_equal(own["star_probability"], [0.01, 0.2, 0.45])
    np.testing.assert_array_equal(stars["star_probability"], 1)
    assert np.isfinite(own["ra"].value).all()


def test_a_total_without_detection_has_a_limit(structured):
    band = structured.bands["F150W"]
    band.fit = replace(band.fit, total_flux=-5.0, total_flux_err=2.0, flags=BandFlag.FAINT)
    row = phot_table(structured)[0]
    assert np.isnan(row["total_mag_ab"]) and np.isnan(row["color"])
    limit = 28.0865 - 2.5 * np.log10(6)
    assert row["total_mag_ab_limit"].value == pytest.approx(limit, abs=1e-4)


def test_total_of_a_fit_that_has_none(model):
    band = model.bands["F150W"]
    one = replace(band.fit.sersic[0], flux=3.0, flux_err=0.3)
    parts = (one, replace(one, flux=4.0, flux_err=0.4), replace(one, flux=9.0, galaxy_id=1))
    band.fit = replace(band.fit, sersic=parts, flux=np.nan)
    assert total_flux(band) == pytest.approx((7.0, 0.5))
    band.fit = replace(band.fit, flux=7.5, flux_err=0.1)
    assert total_flux(band) == (7.5, 0.1)
    band.fit = replace(band.fit, total_flux=8.0, total_flux_err=0.2)
    assert total_flux(band) == (8.0, 0.2)
    band.fit = None
    assert np.isnan(total_flux(band)).all()


# ----------------------------------------------------------------- other files


def test_regions_show_companions_and_knots_in_the_input_frame(structured, tmp_path):
    regions = pytest.importorskip("regions")
    for band in structured.bands.values():
        band.wcs = None
    (path,) = write_products(structured, tmp_path, "g", tables=False)
    found = {region.meta["text"]: region for region in regions.Regions.read(path)}
    other = found["companion 1"]
    assert (other.center.x, other.center.y) == pytest.approx((20.25 + 40, 14.5 + 30))
    assert other.width == pytest.approx(4 * 5.5) and other.height == pytest.approx(0.7 * 22)
    knot = found["knot 101"]
    assert (knot.center.x, knot.center.y) == pytest.approx((15 + 40, 11 + 30))
    with open(path) as file:
        lines = [line for line in file if "knot" in line or "companion" in line]
    colours = {("knot" in line, line.split("color=")[1].split()[0]) for line in lines}
    assert colours == {(True, "#009e73"), (False, "#e69f00")}


def test_fits_images_hold_them(structured, tmp_path):
    path = write_fits_images(structured, tmp_path, "g")[0]
    with fits.open(path) as hdus:
        for extension, name in (("KNOTS", "knots"), ("COMPANIONS", "companions")):
            expected = getattr(structured.bands["F150W"], name).astype(np.float32)
            np.testing.assert_array_equal(hdus[extension].data, expected)
            assert hdus[extension].header["BUNIT"] == "MJy/sr"


def test_hdf5_holds_them(structured, tmp_path):
    structured.save(tmp_path / "g.h5")
    with h5py.File(tmp_path / "g.h5") as file:
        group, band = file["F150W"], structured.bands["F150W"]
        np.testing.assert_array_equal(group["knots_modelimg"], band.knots)
        np.testing.assert_array_equal(group["companions_modelimg"], band.companions)
        np.testing.assert_array_equal(group["psf_sub_data"], band.data - band.stars)
        assert list(group["knots_table"]["star_id"]) == [100, 101, 102]
        assert list(group["companions_table"]["galaxy_id"]) == [1, 2]
        assert group["sersic_flux"][()] == 750
        assert (group["total_flux"][()], group["knot_flux"][()]) == (1060, 60)
        assert len(group["psf_table"]) == 2
    # what it is read back for are images and PSFs
    structured.bands.pop("F277W")
    structured.save(tmp_path / "two.h5")
    assert set(GalaxyModel.open(tmp_path / "two.h5").filters) == set(FLUX)
