"""LoadCrop on mosaics: the parameters of the door, the galaxy at a sky position."""

import logging
from dataclasses import fields

import pytest
from mosaics import DEC, RA, i2d_hdus, plain_hdu, psf_of
from sample_models import make_psf

from galstep.datamodels import GalaxyModel
from galstep.datamodels.input.read_options import ReadOptions
from galstep.exceptions import InputError, ParameterError
from galstep.flags import BandFlag
from galstep.steps import LoadCrop


@pytest.fixture
def folder(tmp_path):
    """Two mosaics of different pixels with the galaxy off the middle, and their PSFs."""
    (tmp_path / "psf").mkdir()
    (tmp_path / "m51").mkdir()
    grids = {
        "F150W": {"shape": (150, 160), "pixel_scale": 0.03, "offset": (30.0, -20.0)},
        "F277W": {"shape": (90, 80), "pixel_scale": 0.06, "rotation": 20.0},
    }
    for name, grid in grids.items():
        i2d_hdus(name, noise=0.01, **grid).writeto(tmp_path / "m51" / f"m51_{name.lower()}.fits")
        psf = plain_hdu(make_psf(), None, name, OVERSAMP=4)
        psf.writeto(tmp_path / "psf" / f"{name}.fits")
    return tmp_path


def load(folder, **parameters):
    defaults = {"psf_file": str(folder / "psf"), "min_crop_size": 32, "auto_crop_factor": 1.0}
    return LoadCrop(**defaults | parameters).run(folder / "m51")


def test_cut_out_and_cropped(folder):
    model = load(folder, ra=RA, dec=DEC, size=2.4)
    base = model.bands["F150W"]
    x, y = base.pixel_position(RA, DEC)
    assert base.origin[0] + x == pytest.approx(79.5 + 30, abs=1e-3)
    assert base.origin[1] + y == pytest.approx(74.5 - 20, abs=1e-3)
    assert abs(x - (base.shape[1] - 1) / 2) < 2
    assert model.meta.parameters["loadcrop"]["size"] == 2.4


def test_position_is_where_the_galaxy_is_looked_for(folder):
    # 30 pixels from the middle of 160: at the very edge of where it is looked for without
    model = load(folder, ra=RA, dec=DEC)
    base = model.bands["F150W"]
    x, y = base.pixel_position(RA, DEC)
    ny, nx = base.shape
    assert abs(x - (nx - 1) / 2) < 2
    assert abs(y - (ny - 1) / 2) < 2


def test_place_in_pixels_wins(folder):
    model = load(folder, ra=RA, dec=DEC, x_guess=108.0, y_guess=55.0)
    assert model.bands["F150W"].pixel_position(RA, DEC)


def test_filter_that_does_not_reach_the_galaxy(folder, caplog):
    with caplog.at_level(logging.WARNING):
        model = load(folder, ra=RA, dec=DEC + 2.6 / 3600, size=1.2)
    assert model.bands["F277W"].flags & BandFlag.NO_DATA
    assert model.bands["F150W"].usable
    assert model.meta.base_filter == "F150W"


def test_position_off_the_image_of_a_model(folder):
    model = GalaxyModel.open(folder / "m51", psf_file=psf_of("F150W", "F277W"))
    with pytest.raises(InputError, match="filter 'F150W': ra 202.47, dec 47.2783 is off the image"):
        LoadCrop(ra=RA, dec=DEC + 300 / 3600).run(model)


def test_position_without_a_wcs(tmp_path):
    image = i2d_hdus("F150W", noise=0.01)[1]
    plain_hdu(image.data, None, "F150W").writeto(tmp_path / "x.fits")
    psf = plain_hdu(make_psf(), None, "F150W", OVERSAMP=4)
    psf.writeto(tmp_path / "psf.fits")
    with pytest.raises(
        InputError, match="filter 'F150W': ra and dec need a WCS, and the image has"
    ):
        LoadCrop(psf_file=str(tmp_path / "psf.fits"), ra=RA, dec=DEC).run(tmp_path / "x.fits")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ra": 3.0}, "ra and dec must be given together, got 3.0 and None"),
        ({"size": 3.0}, "size 3 arcsec needs ra and dec"),
        ({"dec": 95.0}, "parameter 'dec': the value \"95.0\" is too big"),
        ({"weights": "heavy"}, "parameter 'weights': the value \"heavy\" is unacceptable"),
        ({"bad_dq_bits": -2}, "parameter 'bad_dq_bits': the value \"-2\" is too small"),
    ],
)
def test_parameters_out_of_range(folder, parameters, message):
    with pytest.raises(ParameterError, match=message):
        load(folder, **parameters)


def test_every_option_of_the_door_is_a_parameter():
    step = LoadCrop()
    options = step.reading_options()
    assert set(options) == {field.name for field in fields(ReadOptions)}
    assert {k: v for k, v in options.items() if k != "psf_file"} == {
        field.name: field.default for field in fields(ReadOptions) if field.name != "psf_file"
    }


def test_several_files_and_input_dir(folder, monkeypatch):
    monkeypatch.chdir(folder)
    step = LoadCrop(psf_file="psf", input_dir="m51", save_results=True, min_crop_size=32)
    model = step.run("m51_f150w.fits", "m51_f277w.fits")
    assert model.filters == ("F150W", "F277W")
    assert (folder / "m51_loadcrop.asdf").exists()
    with pytest.raises(InputError, match="input file 'm51_f444w.fits' does not exist"):
        step.run("m51_f150w.fits", "m51_f444w.fits")
