"""The model in the layout of sphot."""

import json

import h5py
import numpy as np
import pytest

from galstep.exceptions import GalstepError


@pytest.fixture
def written(model, tmp_path):
    with h5py.File(model.save(tmp_path / "g001_gal.h5")) as file:
        yield file


def test_root(written):
    assert json.loads(written["name"][()]) == "g001"
    assert json.loads(written["filters"][()]) == ["F150W", "F090W", "F277W"]
    assert (written["crop_x0"][()], written["crop_y0"][()]) == (55.5, 41.5)
    assert written["crop_size"][()] == 32
    np.testing.assert_array_equal(written["aper_sci_positions"], [15.25, 11.5])
    assert written["aper_sci_a"][()] == 12.0


def test_images(model, written):
    band, group = model.bands["F150W"], written["F150W"]
    for name, image in (
        ("data", band.data),
        ("data_error", band.err),
        ("mask", band.mask),
        ("psf", band.psf),
        ("sersic_modelimg", band.galaxy),
        ("psf_modelimg", band.stars),
        ("sky_model", band.sky),
        ("residual", band.residual),
        ("psf_sub_data", band.data - band.stars),
    ):
        np.testing.assert_array_equal(group[name][()], image, err_msg=name)
    assert group.attrs["unit"] == "MJy/sr"


def test_fit_and_stars(written):
    group = written["F150W"]
    assert (group["r_eff"][()], group["n"][()], group["theta"][()]) == (5.5, 2.5, 0.75)
    assert json.loads(group["sersic_params_physical"][()])["ellip"] == 0.3
    assert json.loads(group["kernel_family"][()]) == "gaussian"
    assert json.loads(group["kernel_params"][()]) == [1.25]
    forced = group["forced_table"][()]
    assert list(forced["catalog_id"]) == [b"a1", b"b2", b"c3"] and forced["flux_limit"][1] == 3.75
    assert group["completeness_table"]["completeness"][0] == 0.75
    stars = group["psf_table"][()]
    assert stars["flux_fit"].tolist() == [12.5, -1.0]
    assert stars["x_fit"].tolist() == [2.5, 20.125]
    assert stars["id"].dtype.kind == "i"
    corrected, raw = group["mag_corr"][()], group["mag_raw"][()]
    assert corrected - raw == pytest.approx(-0.05) == group["dmag_PSFcorr"][()]


def test_what_was_not_measured_is_left_out(written):
    group = written["F277W"]
    assert "data" in group
    assert not {"residual", "psf_table", "n", "mag_raw", "kernel_family"} & set(group)


def test_model_without_apertures(model, tmp_path):
    for band in model.bands.values():
        band.aperture = None
    with h5py.File(model.save(tmp_path / "g.h5")) as file:
        assert "aper_sci_a" not in file


def test_earlier_file_survives_a_failure(model, tmp_path, monkeypatch):
    path = tmp_path / "g.h5"
    path.write_bytes(b"earlier")

    def fail(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises(GalstepError, match="g.h5: cannot be written .*No space left"):
        model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["g.h5"]
    assert path.read_bytes() == b"earlier"
