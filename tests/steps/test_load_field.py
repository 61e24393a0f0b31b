"""LoadField: headers, one scale, grids, and every row of the catalogue."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table

from galstep.exceptions import InputError, ParameterError
from galstep.flags import FieldFlag
from galstep.steps import LoadField
from galstep.testing.fields import make_field
from galstep.testing.star_frames import tan_wcs


@pytest.fixture(scope="module")
def field():
    return make_field(seed=4, shape=(100, 110), n_stars=10, n_galaxies=2, subsample=1)


@pytest.fixture
def folder(field, tmp_path):
    field.write(tmp_path)
    return tmp_path


def load(path, **parameters):
    return LoadField(**parameters).run(str(path))


def changed(path, **keywords):
    """Keywords of a file changed; None removes one."""
    with fits.open(path, mode="update") as hdus:
        for name, value in keywords.items():
            if value is None:
                del hdus[0].header[name]
            else:
                hdus[0].header[name] = value


def test_headers_make_one_scale(field, folder):
    model = load(folder / "field.txt", catalog=str(folder / "field_catalog.csv"))
    assert model.filters == ("g", "r", "i")
    for name, band in model.bands.items():
        header = field.headers[name]
        scale = 10 ** (-0.4 * (header["ZP_AUTO"] - 25))
        assert band.scale == pytest.approx(scale)
        assert band.sigma == pytest.approx(header["SKYSIG"] * scale)
        assert band.variance_per_unit == pytest.approx(scale / header["EGAIN"])
        assert band.pixel_map.is_translation and not any(band.pixel_map.origin)
        read = band.pixels().read(type("Box", (), {"x0": 0, "y0": 0, "x1": 110, "y1": 100}))
        expected = field.images[name].astype("f4") * scale
        np.testing.assert_allclose(read.data[~read.mask], expected[~read.mask], rtol=1e-6)
    assert model.meta.name == "field" and model.meta.cal_step.gal_loadfield == "COMPLETE"


def test_every_row_in_order(field, folder):
    model = load(folder / "field.txt", catalog=str(folder / "field_catalog.csv"))
    assert list(model.start["id"]) == list(field.catalog["ID"])
    assert list(model.start["row"]) == list(range(12))
    x, y = field.wcs.all_world2pix(field.catalog["RA"], field.catalog["DEC"], 0)
    np.testing.assert_allclose(model.start["x"], x, atol=1e-6)
    np.testing.assert_allclose(model.start["y"], y, atol=1e-6)
    assert list(model.catalog["id"]) == list(model.start["id"])


def test_what_cannot_be_fitted_is_flagged(field, folder):
    catalog = field.catalog.copy()
    catalog.add_row(["lost", np.nan, 2.0, "STAR", np.nan, np.nan, np.nan])
    catalog.add_row(["far", 151.0, 2.0, "STAR", np.nan, np.nan, np.nan])
    model = LoadField(catalog=catalog, crop_margin=15).run(str(folder / "field.txt"))
    assert len(model) == 14
    flags = [FieldFlag(int(bits)) for bits in model.start["flags"]]
    assert flags[12] == FieldFlag.NO_POSITION | FieldFlag.EXCLUDED
    assert flags[13] == FieldFlag.CROPPED | FieldFlag.EXCLUDED
    x, y = np.array(model.start["x"]), np.array(model.start["y"])
    near = (x < 14.5) | (x >= 110 - 15.5) | (y < 14.5) | (y >= 100 - 15.5)
    assert 0 < near[:12].sum() < 12
    expected = near[:12] * int(FieldFlag.CROPPED | FieldFlag.EXCLUDED)
    np.testing.assert_array_equal(model.start["flags"][:12], expected)
    assert "no position" in model.catalog["issues"][12]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"ZP_AUTO": None}, "zero point is needed: keyword 'ZP_AUTO'"),
        ({"SKYSIG": 0.0}, "SKYSIG .* must be above 0"),
        ({"EGAIN": -1.0}, "EGAIN .* must be above 0"),
        ({"ZP_AUTO": "twenty"}, "ZP_AUTO .* must be a number"),
        ({"FILTER": "g"}, "image of band 'g' already"),
    ],
)
def test_headers_that_cannot_be_used(folder, keywords, message):
    changed(folder / "field_r.fits", **keywords)
    with pytest.raises(InputError, match=message):
        load(folder / "field.txt")


def test_headers_that_say_less(folder, field):
    changed(folder / "field_r.fits", SKYSIG=None, EGAIN=None, SATURATE=None)
    model = load(folder / "field.txt")
    band = model.bands["r"]
    # the sky's noise as measured, stars and galaxies notwithstanding
    assert band.sky_sigma == pytest.approx(field.headers["r"]["SKYSIG"], rel=0.15)
    assert band.variance_per_unit == 0 and band.saturate == np.inf
    assert len(band.reasons) == 3
    model = load(folder / "field.txt", gain_key="2.5", sky_sigma_key="6", saturate_key="5000")
    assert model.bands["r"].gain == 2.5 and model.bands["g"].sky_sigma == 6.0
    assert model.bands["i"].saturate == 5000


def test_bands_of_the_catalogue_and_of_the_images(folder, field):
    catalog = field.catalog.copy()
    catalog["FLUX_g"], catalog["FLUX_z"] = 10.0, 20.0
    with pytest.raises(
        InputError, match="FLUX_ columns are of the bands g, z, the images .* g, i, r"
    ):
        LoadField(catalog=catalog).run(str(folder / "field.txt"))
    model = LoadField(catalog=catalog, band_check=False).run(str(folder / "field.txt"))
    assert np.all(model.start["flux_g"] == 10) and np.isnan(model.start["flux_r"]).all()


def test_two_rows_of_one_name(folder, field):
    catalog = field.catalog.copy()
    catalog["ID"][1] = "00000"
    with pytest.raises(InputError, match="'00000' stands 2 times"):
        LoadField(catalog=catalog).run(str(folder / "field.txt"))


def test_grids_are_compared_in_pixels(folder, field):
    """CRPIX and CRVAL both moved: other keywords, the same pixels."""
    moved = tan_wcs((100, 110), 0.5, (150.0, 2.0))
    ra, dec = moved.all_pix2world([30.0], [40.0], 0)
    cards = {"CRPIX1": 31.0, "CRPIX2": 41.0, "CRVAL1": float(ra[0]), "CRVAL2": float(dec[0])}
    changed(folder / "field_r.fits", **cards)
    model = load(folder / "field.txt", grids="same")
    assert model.bands["r"].pixel_map.is_translation
    changed(folder / "field_r.fits", CRPIX1=31.4)
    with pytest.raises(InputError, match="up to 0.4 pixels apart"):
        load(folder / "field.txt", grids="same")
    mapped = load(folder / "field.txt").bands["r"].pixel_map
    assert mapped.points(10.0, 20.0)[0] == pytest.approx(10.4, abs=2e-3)
    assert not any(load(folder / "field.txt", wcs_tolerance=0.5).bands["r"].pixel_map.origin)


def test_a_band_on_other_pixels_is_mapped(folder, field):
    wcs = tan_wcs((60, 70), 0.8, (150.0, 2.0), rotation=20.0)
    header = wcs.to_header()
    header.update(field.headers["r"])
    data = np.random.default_rng(0).normal(0, 5, (60, 70))
    fits.PrimaryHDU(data, header).writeto(folder / "field_r.fits", overwrite=True)
    model = load(folder / "field.txt", catalog=str(folder / "field_catalog.csv"))
    pixel_map = model.bands["r"].pixel_map
    x, y = pixel_map.points(30.0, 50.0)
    expected = wcs.all_world2pix(*field.wcs.all_pix2world(30.0, 50.0, 0), 0)
    np.testing.assert_allclose([x, y], expected, atol=1e-3)
    assert pixel_map.scale == pytest.approx(0.5 / 0.8, rel=1e-4)


def test_without_a_wcs_shapes_must_agree(folder):
    data = np.random.default_rng(0).normal(0, 5, (60, 70))
    header = fits.Header({"FILTER": "r", "ZP_AUTO": 25.0, "SKYSIG": 5.0})
    fits.PrimaryHDU(data, header).writeto(folder / "field_r.fits", overwrite=True)
    with pytest.raises(InputError, match="band r: .* with other pixels both need a WCS"):
        load(folder / "field.txt")


def test_images_in_memory_and_a_table(field):
    images = [
        CCDData(field.images[b], unit="adu", wcs=field.wcs, header=field.headers[b])
        for b in field.bands
    ]
    model = LoadField(catalog=Table(field.catalog)).run(images)
    assert model.filters == ("g", "r", "i") and len(model) == 12
    assert model.bands["g"].scale == pytest.approx(10 ** (-0.4 * (24.8 - 25)))


def test_chosen_bands_and_their_order(folder):
    model = load(folder / "field.txt", filters=["i", "g"])
    assert model.filters == ("i", "g")
    with pytest.raises(InputError, match="filters: z not in the input, which has g, r, i"):
        load(folder / "field.txt", filters="z")


def test_lists_that_cannot_be_used(folder):
    (folder / "empty.txt").write_text("# nothing\n\n")
    with pytest.raises(InputError, match="it names no image"):
        load(folder / "empty.txt")
    (folder / "wrong.txt").write_text("field_g.fits\nfield_q.fits # not there\n")
    with pytest.raises(InputError, match="there is no file 'field_q.fits'"):
        load(folder / "wrong.txt")


def test_a_folder_and_several_files(folder, tmp_path):
    assert set(load(folder).filters) == {"g", "r", "i"}
    paths = [str(folder / f"field_{band}.fits") for band in "ri"]
    model = LoadField().run(*paths)
    assert model.filters == ("r", "i") and model.meta.name == "field"


def test_parameters_are_checked():
    with pytest.raises(ParameterError):
        LoadField(crop_margin=-1)
    with pytest.raises(ParameterError):
        LoadField(grids="resample")
