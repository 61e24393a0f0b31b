"""`galstep.fit_field`: the truth of a known field from arrays, in the forms that they come in."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, NDData
from astropy.table import QTable, Table

import galstep
from galstep.datamodels.field.field_model import FieldModel
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.notebook import FieldResult
from galstep.testing.fields import make_field

SHAPE = (70, 70)
NO_FIT = {key: {"skip": True} for key in ("fieldfit", "zeropoint", "fieldpsf", "maskfield")}


@pytest.fixture(scope="module")
def field():
    return make_field(seed=4, shape=SHAPE, n_stars=6, n_galaxies=2, bands=("g", "r"), subsample=3)


@pytest.fixture(scope="module")
def given(field):
    """What a person has: arrays, PSFs, zero points, a WCS, a table."""
    return {
        "images": dict(field.images),
        "catalog": field.catalog,
        "psf": {name: field.psf_array(name) for name in field.bands},
        "oversample": 2,
        "zero_point": {name: field.headers[name]["ZP_AUTO"] for name in field.bands},
        "wcs": field.wcs,
    }


@pytest.fixture(scope="module")
def result(given):
    return galstep.fit_field(
        **given, name="small", gain_key=2.0, saturate_key=30000.0, fieldfit={"detect": False}
    )


def read_only(given, **changed):
    return galstep.fit_field(**(given | changed), steps=NO_FIT).model


class TestTruth:
    def test_fluxes_and_places(self, field, result):
        table, truth = result.catalog, field.truth
        assert len(result) == len(truth)
        for name in field.bands:
            pull = (table[f"flux_{name}"].value - truth[f"flux_{name}"]) / table[
                f"flux_{name}_err"
            ].value
            assert np.abs(pull).max() < 5
        assert np.abs(table["x"].value - truth["x"]).max() < 0.5
        assert set(result.stars["type"]) == {"STAR"} and len(result.stars) == 6
        assert len(result.galaxies) == 2

    def test_residual_and_model(self, field, result):
        for name in field.bands:
            residual, light = result.residual(name), result.model_image(name)
            assert residual.shape == light.shape == SHAPE
            scale = result.model.bands[name].scale
            sky = np.nanmedian(field.images[name] * scale - residual - light)
            np.testing.assert_allclose(
                field.images[name] * scale - light - sky, residual, atol=0.1 * np.nanstd(light)
            )
        with pytest.raises(ParameterError, match="band must be one of"):
            result.residual("z")

    def test_bands(self, field, result):
        bands = result.bands
        assert isinstance(bands, QTable) and list(bands["band"]) == list(field.bands)
        assert bands["psf_fwhm"].unit == u.pix and (bands["psf_fwhm"].value > 2).all()


class TestResult:
    def test_words(self, result):
        text = repr(result)
        assert text.startswith("<FieldResult 'small': ") and "8 sources" in text
        assert text.splitlines()[1].startswith("8 sources: ") and "median chi2" in text
        own = str(result.model).splitlines()
        assert own[1:] == text.splitlines()[1 : len(own)]
        html = result._repr_html_()
        assert html.count("<table") >= 2 and "median chi2" in html

    def test_html_escapes_what_a_catalogue_says(self, result):
        model = result.model.copy()
        model.catalog["id"] = ["<script>alert(1)</script>"] * len(model)
        model.meta.name = "<b>x</b>"
        html = FieldResult(model, ["<i>w</i>"])._repr_html_()
        assert "<script>" not in html and "<b>x" not in html and "<i>w" not in html

    def test_flags_in_words(self, result):
        model = result.model.copy()
        model.catalog["flags"][0] = 1
        first = str(model.catalog["id"][0])
        assert FieldResult(model).flags[first]

    def test_plot(self, result, tmp_path):
        pytest.importorskip("matplotlib")
        figure = result.plot(tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
        assert figure._repr_png_()[:4] == b"\x89PNG"

    def test_save_and_read(self, result, tmp_path):
        path = Path(result.save(tmp_path / "out", picture=False))
        assert path.name == "small_field.asdf"
        names = {p.name for p in path.parent.iterdir()}
        assert {"small_field.ecsv", "small_field.fits"} <= names
        again = galstep.read(path)
        assert isinstance(again, FieldResult) and isinstance(again.model, FieldModel)
        band = result.model.filters[0]
        assert (again.catalog[f"flux_{band}"] == result.catalog[f"flux_{band}"]).all()
        np.testing.assert_allclose(again.residual(), result.residual())
        with pytest.raises(GalstepError, match="there already: overwrite=True"):
            result.save(tmp_path / "out")
        result.save(tmp_path / "x.asdf")
        with pytest.raises(InputError, match="must end in .asdf, or be a folder"):
            result.save(tmp_path / "x.csv")

    def test_before_a_fit(self, given):
        result = galstep.fit_field(**given, steps=NO_FIT)
        assert repr(result).splitlines()[0].endswith("8 sources; not fitted>")
        with pytest.raises(InputError, match="not fitted"):
            result.residual()


class TestQuiet:
    def test_nothing_is_printed_nothing_written(self, given, capfd, elsewhere):
        galstep.fit_field(**given, steps=NO_FIT)
        captured = capfd.readouterr()
        assert captured.out == captured.err == "" and list(elsewhere.iterdir()) == []

    def test_warnings_are_kept(self, given):
        result = galstep.fit_field(**given, steps=NO_FIT)
        assert any("no gain" in message for message in result.messages)
        assert all(message in repr(result) for message in result.messages)

    def test_verbose_shows_the_log(self, given, capfd):
        galstep.fit_field(**given, steps=NO_FIT, verbose=True)
        assert "loadfield: bands 2" in capfd.readouterr().err


class TestForms:
    def test_errors_mask_and_names(self, given, field):
        first, second = field.bands
        bad = np.zeros(SHAPE, bool)
        bad[5, 6] = True
        model = read_only(given, err={first: 2.0, second: np.full(SHAPE, 3.0)}, mask={first: bad})
        bands = model.bands
        assert [bands[name].use_error for name in bands] == [True, True]
        assert bands[first].sky_sigma == pytest.approx(2.0)
        assert bool(bands[first].source.mask[5, 6])

    def test_units_tell_the_zero_point(self, given, field):
        first, second = field.bands
        images = {first: field.images[first] * u.nJy, second: field.images[second] * u.MJy / u.sr}
        model = read_only(given, images=images, zero_point=None)
        assert model.bands[first].zero_point == pytest.approx(31.4, abs=1e-3)
        side = model.bands[second].pixel_side
        jansky = 1e6 * np.radians(side / 3600) ** 2
        expected = -2.5 * np.log10(jansky / 3631)
        assert model.bands[second].zero_point == pytest.approx(expected, abs=1e-3)

    def test_headers_and_the_caller_s_images_stay(self, given, field):
        first = field.bands[0]
        image = CCDData(field.images[first], unit="adu", meta={"ZP_AUTO": 23.0, "FILTER": first})
        one = read_only(given, images=image, psf=None, zero_point=None, wcs=None, catalog=None)
        assert one.bands[first].zero_point == 23.0
        other = read_only(given, images=image, psf=None, zero_point=24.0, wcs=None, catalog=None)
        assert other.bands[first].zero_point == 24.0 and image.meta["ZP_AUTO"] == 23.0

    def test_one_image(self, given, field):
        first = field.bands[0]
        alone = {"images": field.images[first], "psf": given["psf"][first], "zero_point": 25.0,
                 "catalog": None}  # fmt: skip
        assert read_only(given | alone).filters == ("image",)
        assert read_only(given | alone, filter="g").filters == ("g",)
        named = read_only(given | alone | {"images": NDData(field.images[first])})
        assert named.filters == ("image",)

    def test_catalogues(self, given, field, tmp_path):
        sky = SkyCoord(field.catalog["RA"], field.catalog["DEC"], unit="deg")
        places = read_only(given, catalog=sky).start
        field.catalog.write(tmp_path / "c.csv")
        named = read_only(given, catalog=tmp_path / "c.csv").start
        np.testing.assert_allclose(places["x"], named["x"])
        assert len(read_only(given, catalog=None)) == 0

    def test_files(self, field, tmp_path):
        field.write(tmp_path)
        model = read_only({"images": tmp_path / "field.txt"})
        assert model.filters == tuple(field.bands)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"zero_point": None}, "the zero point is needed"),
        ({"zero_point": {"g": "high"}}, "must be a number"),
        ({"zero_point": {"q": 25.0}}, "no image of filter 'q'"),
        ({"images": {}}, "dict of filters is empty"),
        ({"images": np.ones(5)}, "must be a 2-D image"),
        ({"oversample": None}, "give oversample"),
        ({"psf": np.ones((5, 5))}, "the 2 filters need one each"),
        ({"catalog": 5}, "catalog must be a file, a table"),
        ({"catalog": Table({"a": [1.0]})}, "catalog"),
        ({"catalog": "no.csv"}, "no.csv"),
        ({"images": "no.txt", "zero_point": None, "wcs": None}, "does not exist"),
        ({"images": "no.txt", "wcs": None}, "zero_point is for images in memory"),
        ({"gain_ke": 3.0}, "unknown argument gain_ke .did you mean 'gain_key'"),
        ({"catalogue": "x.csv"}, "unknown argument catalogue .did you mean 'catalog'"),
        ({"joint": False}, "belongs to a step: fieldfit.joint"),
        ({"fieldfit": {"block_siz": 3}}, "did you mean 'block_size'"),
        ({"fieldfi.joint": False}, "did you mean 'fieldfit'"),
        ({"output_dir": "x"}, "save with result.save"),
    ],
    ids=str,
)
def test_one_line_says_what_is_wrong(given, changed, message):
    with pytest.raises(GalstepError, match=message) as caught:
        galstep.fit_field(**(given | changed), steps=NO_FIT)
    assert "\n" not in str(caught.value)


def test_names_of_the_package():
    assert "fit_field" in dir(galstep) and galstep.FieldModel is FieldModel
