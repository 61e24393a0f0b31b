"""Values of parameters in the spellings that people use."""

import asdf
import pytest
from astropy import units as u
from astropy.coordinates import Angle
from stpipe import Step

from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import AperPhot, Inject, LoadCrop
from galstep.testing import make_scene


@pytest.mark.parametrize("given", [5, 5.0, "5", [5], ["5"], (5,)], ids=repr)
def test_one_value_is_a_list_of_one(given):
    assert AperPhot(radii=given).radii == [5.0]
    step = GalPipeline(steps={"aperphot": {"radii": given}}).aperphot
    assert step.radii == [5.0]


def test_nothing_stays_nothing():
    assert AperPhot(radii=None).radii is None
    assert AperPhot().circles is None


def test_a_list_of_two_is_still_one_of_two():
    with pytest.raises(ParameterError, match="star_snr"):
        Inject(star_snr=5)


@pytest.mark.parametrize(
    "ra", ["10:00:27.3", "10h00m27.3s", 150.11375, "150.11375", Angle("10h00m27.3s")], ids=str
)
@pytest.mark.parametrize(
    "dec", ["-2:13:42", "-2d13m42s", -2.2283333333, -133.7 * u.arcmin], ids=str
)
def test_position_in_any_spelling(ra, dec):
    for step in (
        LoadCrop(ra=ra, dec=dec),
        GalPipeline(steps={"loadcrop": {"ra": ra, "dec": dec}}).loadcrop,
    ):
        assert (step.ra, step.dec) == pytest.approx((150.11375, -2.22833333), abs=1e-6)
        assert type(step.ra) is float


@pytest.mark.parametrize("given", ["east", "10:99:00", 5 * u.s], ids=str)
def test_what_is_no_angle(given):
    with pytest.raises(ParameterError, match="ra must be an angle"):
        LoadCrop(ra=given, dec=0.0)


def test_out_of_range_is_still_refused():
    with pytest.raises(ParameterError, match="dec"):
        LoadCrop(ra="10:00:00", dec="95:00:00")


@pytest.mark.parametrize("where", ["--filters=F150W", "--steps.loadcrop.filters=F150W"])
def test_one_filter_of_the_command_line_can_be_saved(where, tmp_path, monkeypatch):
    """stpipe marks what comes from the command line by a kind of str that no product knows."""
    scene = make_scene(1, (41, 41), 0, ("F090W", "F150W"), snr=100.0, psf_size=41)
    scene.write_hdf5(tmp_path / "g.h5")
    scene.write_psf(tmp_path / "psf.h5")
    skipped = [
        f"--steps.{key}.skip=true"
        for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
    ]
    monkeypatch.chdir(tmp_path)
    arguments = ["gal_pipeline", "g.h5", "--steps.loadcrop.psf_file=psf.h5", where]
    Step.from_cmdline([*arguments, "--qa_figure=false", *skipped])
    with asdf.open(tmp_path / "g_gal.asdf") as file:
        assert file["meta"]["filters"] == ["F150W"]
