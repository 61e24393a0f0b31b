"""`galstep.fit`: the truth of a known galaxy from arrays, in every form that they come in."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.table import QTable
from astropy.utils.masked import Masked
from often import first_often

import galstep
from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.notebook.images import as_image, as_images

# no fit is needed to see what was read
NO_FIT = {
    key: {"skip": True}
    for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
}
UNIT = u.MJy / u.sr


def read_only(image, psf, oversample=4, **options):
    """What reaches the fit."""
    return galstep.fit(image, psf, oversample, steps=NO_FIT, **options).model


class TestTruth:
    def test_flux_and_shape_are_those_of_the_scene(self, result, scene):
        table = result.galaxy
        assert list(table["filter"]) == list(scene.truth.filters)
        true = np.array([scene.truth.fluxes[name] for name in table["filter"]])
        pull = (table["total_flux"].value - true) / table["total_flux_err"].value
        assert (np.abs(pull) < 4).all()
        for name in ("r_eff", "n", "ellip"):
            own, error = table[name][0].value, table[f"{name}_err"][0].value
            assert abs(own - getattr(scene.truth.sersic, name)) < 4 * error

    def test_magnitudes_and_units(self, result, scene):
        table = result.galaxy
        for row in table:
            assert row["total_mag_ab"].to_value(u.mag) == pytest.approx(
                scene.truth.mag_ab(row["filter"]), abs=0.1
            )
        assert table["total_flux"].unit == UNIT * u.pix
        assert table["r_eff"].unit == u.pix
        assert table["ra"].unit == u.deg

    def test_place_on_the_sky(self, result, scene, wcs):
        sersic = scene.truth.sersic
        ra, dec = wcs.pixel_to_world_values(sersic.x_0, sersic.y_0)
        here = SkyCoord(result.galaxy["ra"][0], result.galaxy["dec"][0])
        assert here.separation(SkyCoord(ra * u.deg, dec * u.deg)) < 0.01 * u.arcsec

    def test_the_same_as_the_pipeline(self, result, scene, tmp_path):
        from galstep.pipeline import GalPipeline

        model = GalPipeline.call(
            GalaxyModel.open(
                {name: NDData(scene.data[name], StdDevUncertainty(scene.err[name]))
                 for name in scene.data},
                psf_file={name: (scene.psf_arrays[name], 4) for name in scene.data},
            ),
            save_results=False,
        )  # fmt: skip
        for name, band in model.bands.items():
            assert result.model.bands[name].fit.flux == band.fit.flux


class TestForms:
    """Every form of one image, its errors and its mask reaches the fit as the same numbers."""

    bad = np.zeros((71, 71), dtype=bool)
    bad[3, 4] = True

    @pytest.fixture
    def plain(self, scene):
        return scene.data["F150W"], scene.err["F150W"], scene.psf_arrays["F150W"]

    @pytest.fixture
    def forms(self, plain):
        data, err, _ = plain
        bad = self.bad
        jansky = u.Jy / u.arcsec**2
        return {
            "arrays": (data, {"err": err, "mask": bad}),
            "float32": (data.astype(">f4"), {"err": err, "mask": bad}),
            "nan": (np.where(bad, np.nan, data), {"err": err}),
            "masked": (np.ma.array(data, mask=bad), {"err": err}),
            "Masked": (Masked(data, bad), {"err": err}),
            "Masked Quantity": (Masked(data * UNIT, bad), {"err": err * UNIT}),
            "Quantity": (data * UNIT, {"err": err * UNIT, "mask": bad.astype(int)}),
            "other unit": (
                (data * UNIT).to(jansky),
                {"err": (err * UNIT).to(u.mJy / u.arcsec**2), "mask": bad},
            ),
            "masked error": (data, {"err": np.ma.array(err, mask=bad)}),
            "variance": (data, {"err": VarianceUncertainty(err**2), "mask": bad}),
            "NDData": (NDData(data, StdDevUncertainty(err), mask=bad, unit=UNIT), {}),
            "NDData and error": (NDData(data, mask=bad, unit=UNIT), {"err": err}),
            "NDData and mask": (NDData(data, VarianceUncertainty(err**2)), {"mask": bad}),
            "CCDData": (
                CCDData(data, uncertainty=StdDevUncertainty(err), mask=bad, unit=UNIT), {}
            ),
        }  # fmt: skip

    @pytest.mark.parametrize(
        "form",
        ["arrays", "masked", "Quantity", "NDData and error", "CCDData",
         *(pytest.param(form, marks=pytest.mark.slow) for form in (
             "float32", "nan", "Masked", "Masked Quantity", "other unit", "masked error",
             "variance", "NDData", "NDData and mask"))],
    )  # fmt: skip
    def test_same_numbers(self, forms, plain, form):
        data, err, psf = plain
        image, beside = forms[form]
        model = read_only(image, psf, **beside)
        (band,) = model.bands.values()
        assert band.unit == "MJy/sr"
        assert band.mask[3, 4] and band.mask.sum() == 1
        good = ~self.bad
        np.testing.assert_allclose(band.data[good], data[good], rtol=1e-6)
        np.testing.assert_allclose(band.err[good], err[good], rtol=1e-6)

    def test_the_callers_arrays_stay(self, plain):
        data, err, psf = (array.copy() for array in plain)
        data[0, 0] = np.nan
        kept = data.copy()
        read_only(data, psf, err=err)
        np.testing.assert_array_equal(data, kept)

    def test_one_error_for_all_pixels(self, plain):
        data, _, psf = plain
        (band,) = read_only(data, psf, err=0.02).bands.values()
        assert (band.err == 0.02).all()

    def test_errors_of_some_filters(self, scene):
        model = read_only(scene.data, scene.psf_arrays, err={"F150W": scene.err["F150W"]})
        assert model.bands["F090W"].err is None
        assert model.bands["F150W"].err is not None

    @pytest.mark.slow
    def test_name_of_the_only_filter(self, plain):
        data, _, psf = plain
        assert read_only(data, psf).filters == ("image",)
        assert read_only(data, psf, filter="F150W").filters == ("F150W",)
        named = NDData(data, meta={"FILTER": "F277W"})
        assert read_only(named, psf).filters == ("F277W",)

    def test_oversample_of_each_filter(self, scene):
        oversample = {"F090W": 4, "F150W": 2}
        psfs = dict(scene.psf_arrays)
        psfs["F150W"] = psfs["F150W"][::2, ::2]
        model = read_only(scene.data, psfs, oversample)
        assert [band.oversample for band in model.bands.values()] == [4, 2]

    def test_files_and_products(self, scene, result, tmp_path):
        scene.write_hdf5(tmp_path / "g.h5"), scene.write_psf(tmp_path / "psf.h5")
        model = read_only(tmp_path / "g.h5", str(tmp_path / "psf.h5"), None)
        assert model.filters == scene.truth.filters
        path = result.save(tmp_path / "x.asdf")
        assert galstep.fit(path, steps=NO_FIT).model.filters == scene.truth.filters
        assert galstep.read(path).galaxy["total_flux"][0] == result.galaxy["total_flux"][0]

    @pytest.mark.slow
    def test_chosen_filters(self, scene):
        model = read_only(scene.data, scene.psf_arrays, filters=["F150W"])
        assert model.filters == ("F150W",)
        assert read_only(scene.data, scene.psf_arrays, filters="F150W").filters == ("F150W",)


class TestPlace:
    @pytest.mark.parametrize("kind", first_often(["sky", "xy", "text", "pair"], 2))
    def test_where_the_galaxy_is_looked_for(self, scene, wcs, kind):
        x, y = 20.0, 50.0
        coord = wcs.pixel_to_world(x, y)
        given = {
            "xy": {"xy": (x, y)},
            "sky": {"position": coord.galactic},
            "text": {"position": coord.to_string("hmsdms")},
            "pair": {"position": (coord.ra, coord.dec)},
        }[kind]
        model = read_only(scene.data, scene.psf_arrays, err=scene.err, wcs=wcs, **given)
        found = model.meta.parameters["loadcrop"]
        if kind == "xy":
            assert (found["x_guess"], found["y_guess"]) == (x, y)
        else:
            assert found["ra"] == pytest.approx(coord.ra.deg, abs=1e-6)
            assert found["dec"] == pytest.approx(coord.dec.deg, abs=1e-6)

    def test_two_places(self, scene):
        with pytest.raises(InputError, match="not both"):
            read_only(scene.data, scene.psf_arrays, xy=(1, 2), position=(1, 2))

    @pytest.mark.parametrize("xy", [5, (1,), ("a", 2), (np.nan, 3), (1, 2, 3)], ids=str)
    def test_what_is_no_place(self, scene, xy):
        with pytest.raises(InputError, match="xy must be two"):
            read_only(scene.data, scene.psf_arrays, xy=xy)


class TestParameters:
    """Keywords in every form reach the step; what is wrong is told in one line."""

    @pytest.mark.parametrize(
        "given",
        [
            {"steps": {"basefit": {"iter_basefit": 7}}},
            {"steps": {"basefit.iter_basefit": 7}},
            {"basefit": {"iter_basefit": 7}},
            {"basefit.iter_basefit": 7},
            {"steps.basefit.iter_basefit": "7"},
        ],
        ids=str,
    )
    def test_forms(self, given):
        from galstep.batch.parameters import make_pipeline
        from galstep.notebook.keywords import pipeline_parameters

        given = dict(given)
        own = pipeline_parameters(given.pop("steps", None), given)
        assert make_pipeline(None, own).basefit.iter_basefit == 7

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"iter_basefit": 7}, "belongs to a step: basefit.iter_basefit"),
            ({"basefit": {"iter_base": 7}}, "did you mean 'iter_basefit'"),
            ({"basefit": 7}, "basefit is a step: give its parameters as a dict"),
            ({"basefi.iter_basefit": 7}, "did you mean 'basefit'"),
            ({"steps": {"basefi": {}}}, "did you mean 'basefit'"),
            ({"steps": 5}, "steps must be a dict"),
            ({"steps": {"basefit": {"iter_basefit": "many"}}}, "wrong type"),
            ({"siz": 7}, "unknown argument siz .did you mean 'size'"),
            ({"output_dir": "x"}, "save with result.save"),
            ({"loadcrop": {"input_file": "x"}}, "loadcrop.input_file: no files are read"),
            ({"weights": "odd"}, "weights"),
        ],
        ids=str,
    )
    def test_messages(self, scene, given, message):
        with pytest.raises(ParameterError, match=message) as caught:
            galstep.fit(scene.data, scene.psf_arrays, 4, **given)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"oversample": None}, r"psf\['F090W'\]: give oversample, the samples"),
        ({"psf": None}, "psf is needed"),
        ({"oversample": 2.5}, "oversample must be a positive integer, got 2.5"),
        ({"oversample": True}, "oversample must be a positive integer, got True"),
        ({"oversample": {"F090W": 4}}, "oversample: there is none for filter 'F150W'"),
        ({"psf": np.ones((5, 5))}, "psf: the 2 filters need one each"),
        ({"err": np.ones((71, 71))}, "err: 2 images need one each"),
        ({"err": {"F115W": 1.0}}, "err: there is no image of filter 'F115W'"),
        ({"err": {"F150W": np.ones((3, 3))}}, r"err must have the shape of the image \(71, 71\)"),
        ({"err": {"F150W": np.ones((71, 71)) * u.Jy}}, "the image has none"),
        ({"err": {"F150W": "err.fits"}}, "err must be an array or a number, got str"),
        ({"mask": {"F150W": np.ones((3, 3), bool)}}, "mask must be boolean and have the shape"),
        ({"mask": {"F150W": np.ones((71, 71))}}, "mask must be boolean .*, got float64"),
        ({"filter": "F150W"}, "filter is for a single image"),
        ({"image": {}}, "the dict of filters is empty"),
        ({"image": 5}, "input must be a path, an array"),
        ({"image": np.ones((20, 20)), "psf": np.ones((5, 5)), "err": {"a": 1}},
         "err is a dict of filters, so image must be one too"),
        ({"image": np.ones((20, 20)), "psf": np.ones((5, 5)), "oversample": {"a": 1}},
         "oversample is a dict of filters"),
        ({"image": np.ones(20), "psf": np.ones((5, 5))}, "must be a 2-D image"),
        ({"image": "no.fits", "err": 1.0}, "a file brings its own"),
    ],
    ids=str,
)  # fmt: skip
def test_one_line_says_what_is_wrong(scene, change, message):
    given = {"image": scene.data, "psf": scene.psf_arrays, "oversample": 4} | change
    with pytest.raises(GalstepError, match=message) as caught:
        galstep.fit(**given, steps=NO_FIT)
    assert "\n" not in str(caught.value)


def test_errors_in_another_unit_than_the_image_are_refused():
    image = np.ones((20, 20)) * u.MJy / u.sr
    with pytest.raises(InputError, match="unit that converts to that of the data"):
        read_only(image, np.ones((5, 5)), 1, err=np.ones((20, 20)) * u.s)


def test_a_wcs_may_be_shared(wcs):
    images = as_images({"a": np.ones((20, 20)), "b": np.ones((20, 20))}, wcs=wcs)
    assert images["a"].wcs is not None and images["b"].wcs is not None
    image = as_image(NDData(np.ones((20, 20)), wcs=wcs), "image", err=0.1)
    assert image.wcs is not None


class TestQuiet:
    def test_nothing_is_printed(self, scene, capfd, monkeypatch):
        # as in a fresh interpreter: no handler of anybody's
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        image = NDData(scene.data["F150W"], meta={"BUNIT": "MJy/sr"})
        result = galstep.fit(image, scene.psf_arrays["F150W"], 4)
        captured = capfd.readouterr()
        assert captured.out == captured.err == ""
        assert len(result.galaxy) == 1

    def test_warnings_are_kept(self, scene):
        result = galstep.fit(
            scene.data, scene.psf_arrays, 4, err=scene.err, xy=(5, 60), steps=NO_FIT
        )
        for message in result.messages:
            assert message in repr(result) and message.split()[0] in result._repr_html_()

    @pytest.mark.parametrize(
        ("unit", "options", "expected"),
        [
            (1, {}, "unit MJy/sr and pixels of 0.03 arcsec assumed"),
            pytest.param(UNIT, {}, "pixels of 0.03 arcsec assumed", marks=pytest.mark.slow),
            pytest.param(1, {"pixel_scale": 0.05}, "unit MJy/sr assumed", marks=pytest.mark.slow),
            pytest.param(UNIT, {"pixel_scale": 0.05}, "", marks=pytest.mark.slow),
            (1, {"unit": "MJy/sr", "wcs": True}, ""),
        ],
        ids=str,
    )
    def test_what_is_assumed_is_said(self, scene, wcs, unit, options, expected):
        if "wcs" in options:
            options = options | {"wcs": wcs}
        result = galstep.fit(
            scene.data["F150W"] * unit, scene.psf_arrays["F150W"], 4, steps=NO_FIT, **options
        )
        assumed = [message for message in result.messages if "assumed" in message]
        assert len(assumed) == bool(expected) and expected in "".join(assumed)

    def test_verbose_shows_the_log(self, scene, capfd):
        galstep.fit(scene.data, scene.psf_arrays, 4, verbose=True, steps=NO_FIT)
        assert "loadcrop: filters 2" in capfd.readouterr().err

    def test_loggers_are_left_as_they_were(self, scene):
        before = [(n, logging.getLogger(n).level, list(logging.getLogger(n).handlers))
                  for n in ("galstep", "stpipe")]  # fmt: skip
        with pytest.raises(InputError):
            galstep.fit(scene.data, verbose=True)
        assert before == [(n, logging.getLogger(n).level, logging.getLogger(n).handlers)
                          for n in ("galstep", "stpipe")]  # fmt: skip

    def test_no_file_is_written(self, scene, elsewhere):
        galstep.fit(scene.data, scene.psf_arrays, 4, steps=NO_FIT)
        assert list(elsewhere.iterdir()) == []


class TestResult:
    def test_repr_has_the_numbers(self, result):
        text = repr(result)
        assert text.startswith("<FitResult 'two': F090W, F150W; fitted by jointfit, base F150W>")
        for row in result.galaxy:
            assert f"{row['total_mag_ab'].value:.3f} ± {row['total_mag_ab_err'].value:.3f}" in text
        assert str(result.model).splitlines()[1:] == text.splitlines()[1:4]

    def test_html_has_the_same_and_escapes_names(self, result):
        model = result.model.copy()
        name = "<script>alert(1)</script>"
        model.meta.name = name
        model.bands = {f"{name}{n}": band for n, band in model.bands.items()}
        for band_name, band in model.bands.items():
            band.name = band_name
        model.meta.base_filter = f"{name}F150W"
        html = model._repr_html_()
        assert name not in html and "&lt;script&gt;" in html
        assert html.count("<tr>") == 3

    @pytest.mark.slow
    def test_before_a_fit(self, scene):
        result = galstep.fit(scene.data, scene.psf_arrays, 4, steps=NO_FIT)
        assert repr(result).splitlines()[0] == "<FitResult 'galaxy': F090W, F150W; not fitted>"
        assert np.isnan(result.galaxy["total_flux"]).all()
        assert len(result.stars) == len(result.apertures) == len(result.companions) == 0

    def test_tables(self, result):
        for table in (result.galaxy, result.stars, result.knots, result.apertures,
                      result.companions, result.sersic):  # fmt: skip
            assert isinstance(table, QTable)
        assert set(result.apertures["aperture"]) == {"petrosian", "kron"}
        assert result.flags == {"F090W": [], "F150W": []} or all(result.flags)
        assert list(result.galaxy["flag_names"]) == [
            " ".join(word.replace(" ", "_") for word in words) for words in result.flags.values()
        ]

    def test_plot(self, result, tmp_path):
        pytest.importorskip("matplotlib")
        figure = result.plot(path=tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
        assert figure._repr_png_()[:4] == b"\x89PNG"
        result.plot("sed")
        with pytest.raises(ParameterError, match="did you mean 'profiles'"):
            result.plot("profile")

    def test_save_to_a_folder(self, result, tmp_path):
        path = result.save(tmp_path / "a" / "b", pictures=(), table_format="both")
        names = {p.name for p in Path(path).parent.iterdir()}
        assert Path(path).name == "two_gal.asdf"
        assert {"two_phot.ecsv", "two_phot.fits", "two_stars.ecsv"} <= names
        fits, ecsv = (QTable.read(Path(path).parent / f"two_phot.{e}") for e in ("fits", "ecsv"))
        assert (fits["total_flux"] == ecsv["total_flux"]).all()

    def test_nothing_is_overwritten(self, result, tmp_path):
        path = Path(result.save(tmp_path / "x.asdf"))
        before = path.stat().st_mtime_ns
        with pytest.raises(GalstepError, match="there already: overwrite=True"):
            result.save(path)
        assert path.stat().st_mtime_ns == before
        result.save(path, overwrite=True)
        assert path.stat().st_mtime_ns != before

    def test_folder_that_cannot_be_made(self, result, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(GalstepError, match="cannot be made"):
            result.save(tmp_path / "file" / "x")


def test_import_of_galstep_is_light():
    """Neither stpipe nor scipy nor astropy: they take seconds."""
    code = (
        "import sys, galstep; heavy = {'stpipe', 'scipy', 'astropy', 'numpy', 'matplotlib'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "assert {'fit', 'fit_stars', 'read', 'GalaxyModel'} <= set(dir(galstep)); "
        "assert callable(galstep.fit) and 'stpipe' in sys.modules"
    )
    # -S: what a site brings along is not ours to answer for
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        galstep.fitt  # noqa: B018
