"""The command ``galstep``."""

import subprocess
import sys

import pytest

from galstep import __version__
from galstep.batch.summary import read_rows
from galstep.cli import main
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

SKIP = [
    part
    for step in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
    for part in ("--set", f"{step}.skip=true")
]


@pytest.fixture
def data(elsewhere):
    """Two galaxies and their PSFs in the current folder."""
    scene = make_scene(1, (41, 41), 0, ("F150W",), snr=100.0, psf_size=41)
    scene.write_psf("psf.h5")
    for name in ("a", "b"):
        scene.write_hdf5(f"{name}.h5")
    return elsewhere


@pytest.mark.parametrize("command", [[], ["batch"], ["make-config"], ["convert-config"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: galstep" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"galstep {__version__}"


def test_no_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "required" in capsys.readouterr().err


def test_help_imports_no_library():
    code = (
        "import sys; from galstep.cli import main\n"
        "try: main(['batch', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'stpipe', 'astropy') if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "[]"


def test_batch(data, capsys):
    common = ["--workers=0", "--set", "psf_file=psf.h5", "--set", "loadcrop.auto_crop=false", *SKIP]
    assert main(["batch", "[ab].h5", *common]) == 0
    assert "2 of 2 galaxies measured; galstep_batch/summary.ecsv" in capsys.readouterr().err
    assert (data / "galstep_batch" / "b" / "b_gal.asdf").is_file()
    assert main(["batch", "[ab].h5", *common]) == 2
    assert "choose between resume and overwrite" in capsys.readouterr().err
    assert main(["batch", "[ab].h5", *common, "--resume"]) == 0
    assert "0 to measure, 2 done earlier" in capsys.readouterr().err


def test_batch_in_which_one_fails(data, capsys):
    (data / "b.h5").write_text("no data")
    code = main(["batch", "a.h5", "b.h5", "--workers=0", "--set=psf_file=psf.h5", *SKIP])
    assert code == 1
    rows = read_rows(data / "galstep_batch" / "summary.ecsv")
    assert rows["a"]["status"] == "ok"
    assert "the kind of file is not known" in rows["b"]["reason"]
    assert "1 of 2 galaxies measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none*.h5"], 2, "galstep: 'none*.h5': no file matches"),
        (["a.h5", "--set", "th_min=3"], 1, "--set needs step.parameter=value, got 'th_min=3'"),
        (["a.h5", "--set", "basefit.th_min"], 1, "--set needs step.parameter=value"),
        (["a.h5", "--time-limit=5", "--workers=0"], 1, "time_limit needs worker processes"),
    ],
)
def test_usage_that_is_wrong(data, capsys, arguments, code, message):
    assert main(["batch", *arguments]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.h5", "--resume", "--overwrite"],
        ["a.h5", "--workers=-1"],
        ["a.h5", "--workers=2", "--scheduler=x"],
    ],
)
def test_options_that_argparse_refuses(data, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["batch", *arguments])
    assert caught.value.code == 2
    assert "usage: galstep batch" in capsys.readouterr().err


def test_interrupt(data, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("galstep.batch.run_batch", interrupted)
    assert main(["batch", "a.h5"]) == 130
    assert capsys.readouterr().err == "galstep: interrupted\n"


def test_make_config(elsewhere, capsys):
    assert main(["make-config"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#ASDF 1.0.0\n")
    assert main(["make-config", "config.asdf"]) == 0
    assert (elsewhere / "config.asdf").read_text() == text
    assert main(["make-config", "config.asdf"]) == 2
    assert "it exists already" in capsys.readouterr().err
    assert main(["make-config", "config.asdf", "--overwrite"]) == 0


def test_convert_config(elsewhere, capsys):
    (elsewhere / "sphot_config.toml").write_text("[core]\niter_basefit = 4\n")
    assert main(["convert-config", "sphot_config.toml", "config.asdf"]) == 0
    assert "2 parameters written to config.asdf" in capsys.readouterr().err
    assert GalPipeline.from_config_file("config.asdf").basefit.iter_basefit == 4
    (elsewhere / "sphot_config.toml").write_text("[core]\niter_basfit = 4\n")
    assert main(["convert-config", "sphot_config.toml", "c.asdf"]) == 1
    assert "unknown: [core] iter_basfit" in capsys.readouterr().err
