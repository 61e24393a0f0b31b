"""Image models of jwst and romancal, by stand-ins; the real ones are in tests/hosts."""

import asdf
import numpy as np
import pytest
from duck_images import Nested, image_model, mosaic_model
from mosaics import DEC, FLUX, RA, flux_of, psf_of

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.duck_models import is_image_model
from galstep.exceptions import InputError


class TestImageModel:
    def test_what_is_read(self):
        err = np.full((80, 100), 0.02, "f4")
        quality = np.zeros((80, 100), np.uint32)
        quality[3, 4], quality[5, 6] = 1, 2
        model = image_model(err=err, dq=quality)
        galaxy = GalaxyModel.open(model, psf_file=psf_of("F150W"))
        band = galaxy.bands["F150W"]
        assert galaxy.meta.name == "jw01234_f150w_i2d"
        assert flux_of(band) == pytest.approx(FLUX, rel=1e-6)
        np.testing.assert_allclose(band.err, 0.02, rtol=1e-6)
        assert np.argwhere(band.mask).tolist() == [[3, 4]]
        assert band.pixel_scale == pytest.approx(0.04, rel=1e-6)

    def test_nothing_is_asked_for_that_it_would_have_to_make(self):
        model = image_model()
        band = GalaxyModel.open(model, psf_file=psf_of("F150W")).bands["F150W"]
        assert band.err is None
        assert model.made == []

    def test_model_is_left_alone(self):
        model = image_model(err=np.full((80, 100), 0.02))
        before = model.data.copy()
        galaxy = GalaxyModel.open(model, psf_file=psf_of("F150W"))
        galaxy.bands["F150W"].data[:] = 7.0
        galaxy.bands["F150W"].err[:] = 7.0
        np.testing.assert_array_equal(model.data, before)
        assert (model.err == 0.02).all()

    def test_variances(self):
        parts = {
            name: np.full((80, 100), v)
            for name, v in (("var_poisson", 9e-6), ("var_rnoise", 4e-6), ("var_flat", 3e-6))
        }
        band = GalaxyModel.open(image_model(**parts), psf_file=psf_of("F150W")).bands["F150W"]
        np.testing.assert_allclose(band.err, 4e-3, rtol=1e-12)

    @pytest.mark.parametrize("holder", [dict, lambda **kw: Nested(instance=kw)])
    def test_keywords_in_place_of_a_wcs(self, holder):
        model = image_model()
        fits_wcs = model.meta.wcs._fits.wcs
        model.meta.wcs = None
        model.meta.wcsinfo = holder(
            ctype1="RA---TAN", ctype2="DEC--TAN",
            crpix1=fits_wcs.crpix[0], crpix2=fits_wcs.crpix[1],
            crval1=RA, crval2=DEC, cdelt1=fits_wcs.cdelt[0], cdelt2=fits_wcs.cdelt[1],
            pc1_1=1.0, pc1_2=0.0, pc2_1=0.0, pc2_2=1.0, s_region="POLYGON",
        )  # fmt: skip
        band = GalaxyModel.open(model, psf_file=psf_of("F150W")).bands["F150W"]
        assert band.pixel_position(RA, DEC) == pytest.approx((49.5, 39.5), abs=1e-6)

    def test_calibration(self):
        model = image_model()
        model.data = model.data / 2.5
        model.meta.bunit_data = "DN/s"
        model.meta.photometry.conversion_megajanskys = 2.5
        band = GalaxyModel.open(model, psf_file=psf_of("F150W")).bands["F150W"]
        assert (band.unit, flux_of(band)) == ("MJy/sr", pytest.approx(FLUX, rel=1e-6))

    def test_plane_of_another_shape(self):
        with pytest.raises(InputError, match=r"input: err must have the shape of data \(80, 100\)"):
            GalaxyModel.open(image_model(err=np.ones((10, 10))), psf_file=psf_of("F150W"))


class TestMosaicModel:
    def test_what_is_read(self):
        galaxy = GalaxyModel.open(mosaic_model(), psf_file=psf_of("F158"))
        band = galaxy.bands["F158"]
        assert galaxy.meta.name == "r00001_skycell_f158"
        assert (band.unit, flux_of(band)) == ("MJy/sr", pytest.approx(FLUX, rel=1e-6))
        np.testing.assert_allclose(band.err, 0.02, rtol=1e-6)
        assert np.argwhere(band.mask.all(axis=1)).ravel().tolist() == [2]

    def write(self, path, **changes):
        """A file as asdf sees it without romancal: plain mappings, WCS unknown."""
        mosaic = mosaic_model()
        mosaic["meta"]["wcs"] = {"name": "a gwcs object", "steps": []}
        asdf.AsdfFile({"roman": mosaic | changes}).write_to(path)
        return path

    def test_file(self, tmp_path):
        path = self.write(tmp_path / "r00001_skycell_f158.asdf")
        band = GalaxyModel.open(path, psf_file=psf_of("F158"), pixel_scale=0.04).bands["F158"]
        assert flux_of(band) == pytest.approx(FLUX, rel=1e-6)
        assert band.wcs is None

    def test_cutting_out_needs_the_wcs(self, tmp_path):
        path = self.write(tmp_path / "x.asdf")
        message = r"x.asdf: ra and dec need a WCS, and the image has none: .*gwcs and asdf-astropy"
        with pytest.raises(InputError, match=message):
            GalaxyModel.open(path, psf_file=psf_of("F158"), ra=RA, dec=DEC, size=2)

    def test_file_without_image(self, tmp_path):
        path = self.write(tmp_path / "x.asdf", data=np.ones(4))
        with pytest.raises(InputError, match=r"x.asdf: it has no image \(roman.data and"):
            GalaxyModel.open(path, psf_file=psf_of("F158"))

    def test_damaged_file(self, tmp_path):
        path = self.write(tmp_path / "x.asdf")
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(
            InputError, match=r"x.asdf: (the ASDF file is damaged|.* cannot be read)"
        ):
            GalaxyModel.open(path, psf_file=psf_of("F158"), pixel_scale=0.04)
        path.write_bytes(b"#ASDF 1.0.0\n%YAML 1.1\n---\nroman: {a: [\n...\n")
        with pytest.raises(InputError, match="x.asdf: the ASDF file is damaged"):
            GalaxyModel.open(path, psf_file=psf_of("F158"))


@pytest.mark.parametrize(
    "thing", [3, None, np.ones((4, 4)), Nested(data=np.ones((4, 4))), object()]
)
def test_what_is_no_image_model(thing):
    assert not is_image_model(thing)
