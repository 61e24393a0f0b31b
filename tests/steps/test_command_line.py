"""Values of the command line that stpipe would cut, and options that nobody knows."""

import subprocess

import pytest

from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps.framework.command_line import check_not_cut, check_options


class Given(str):
    """As stpipe marks what comes from the command line."""

    __slots__ = ()


@pytest.mark.parametrize("given", [["--output_dir=run#2"], ["x.h5", "--output_dir", "run#2"]])
def test_cut_at_a_hash(given):
    with pytest.raises(ParameterError, match=r"'run' is left of 'run#2': quote it twice"):
        check_not_cut({"output_dir": Given("run")}, given)


def test_what_is_whole():
    check_not_cut({"output_dir": Given("run#2")}, ['--output_dir="run#2"'])
    check_not_cut({"output_dir": "run"}, ["--output_dir=run#2"])
    check_not_cut({"steps": {}}, ["--steps.loadcrop.psf_file=a#b", "--save-parameters=run#2"])
    with pytest.raises(ParameterError, match="--steps.a.psf: from '#' on"):
        check_not_cut({"steps": {"a": {"psf": Given("a")}}}, ["--steps.a.psf=a#b"])


def test_a_script_without_arguments():
    check_not_cut({"output_dir": Given("run")}, [])


@pytest.mark.parametrize(
    ("option", "near"),
    [
        ("--steps.basefitt.th_min=5", "steps.basefit.th_min"),
        ("--steps.loadcrop.psf_fle=p.h5", "steps.loadcrop.psf_file"),
        ("--outputdir=x", "output_dir"),
    ],
)
def test_a_misspelt_option_is_told_the_nearest(option, near):
    spec = GalPipeline.load_spec_file()
    with pytest.raises(ParameterError, match=rf"did you mean --{near}\?") as caught:
        check_options(spec, ["gal_pipeline", "x.h5", option])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    ["--steps.basefit.th_min=5", "--steps.loadcrop.psf_fil=p.h5", "--save-parameters=x", "--verb",
     "--log-level=DEBUG", "--override_photom=x", "--quite_something_else=1", "-v",
     "--steps.psfcalibrate.per_filter.F150W.x=1", "--help"],
)  # fmt: skip
def test_what_strun_knows_or_nobody_does_is_left_to_it(option):
    check_options(GalPipeline.load_spec_file(), ["gal_pipeline", "x.h5", option])


@pytest.mark.slow
def test_a_misspelt_option_of_strun_is_one_line(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"")
    done = subprocess.run(
        ["strun", "gal_pipeline", "x.h5", "--steps.basefitt.th_min=5"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "did you mean --steps.basefit.th_min?" in done.stderr
    assert len(done.stderr.splitlines()) < 12 and "Traceback" not in done.stderr
