"""The examples of the pages on input and integration, run one after the other."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from mosaics import i2d_hdus, plain_hdu
from sample_models import make_psf
from stpipe import Step

from galstep.data import example_path
from galstep.datamodels import GalaxyModel

DOCS = Path(__file__).parents[1] / "docs"
# enough to see that a command is right; the fits are tested elsewhere
QUICK = ["--qa_figure=false"] + [
    f"--steps.{key}.skip=true"
    for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
]


def blocks(page, kind):
    """The indented blocks that follow a directive, or ``::`` at the end of a line."""
    start = r"\.\. code-block:: python" if kind == "python" else r"(?<!code-block)::"
    pattern = rf"{start}\n\n((?:    .*\n|\n)+)"
    for match in re.finditer(pattern, (DOCS / page).read_text()):
        yield "\n".join(line[4:] for line in match[1].rstrip().splitlines())


def run_python(page, names):
    """Run all Python of a page in one namespace."""
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    return names


def commands(page):
    """What is typed on a page."""
    for block in blocks(page, "text"):
        yield from (shlex.split(line)[1:] for line in block.splitlines() if line[:6] == "strun ")


@pytest.fixture
def mosaics(elsewhere):
    """The folders ``m51`` and ``psfs`` of the page on input."""
    (elsewhere / "m51").mkdir()
    (elsewhere / "psfs").mkdir()
    i2d_hdus("F150W").writeto("m51/m51_f150w_i2d.fits")
    i2d_hdus("F277W", (50, 60), pixel_scale=0.08).writeto("m51/m51_f277w_i2d.fits")
    for name in ("f150w", "f277w"):
        plain_hdu(make_psf(), OVERSAMP=4).writeto(f"psfs/psf_{name}.fits")


def test_python_of_the_page_on_input(mosaics):
    names = run_python("inputs.rst", {})
    model = names["model"]
    assert model.filters == ("F150W", "F277W")
    assert [band.shape for band in model.bands.values()] == [(60, 60), (30, 30)]


@pytest.mark.slow
def test_commands_of_the_page_on_input(mosaics):
    typed = list(commands("inputs.rst"))
    assert len(typed) == 3
    for arguments in typed:
        Step.from_cmdline([*arguments, *QUICK])
        model = GalaxyModel.open("m51_gal.asdf")
        assert model.filters == ("F150W", "F277W")
        Path("m51_gal.asdf").unlink()
    assert model.bands["F150W"].shape == (60, 60), "cut out"


@pytest.mark.slow
def test_the_page_on_integration(elsewhere):
    (parameters,) = (b for b in blocks("integration.rst", "text") if b.startswith("#ASDF"))
    Path("gal_pipeline.asdf").write_text(f"{parameters}\n")
    # the page brings its own host and image: it runs as it stands
    names = run_python("integration.rst", {})
    assert names["image"].meta.cal_step.gal_measure == "COMPLETE"
    assert Path("galaxy/host_gal.asdf").exists()
    assert Path("host_gal.asdf").exists()
    truth = Table.read(example_path("example_truth.ecsv"))
    true_flux = truth["flux"][list(truth["filter"]).index("F150W")]
    for model in (names["model"], names["pipeline"].model):
        fit = model.bands["F150W"].fit.sersic[0]
        assert abs(fit.flux - true_flux) < 5 * fit.flux_err


def test_what_stands_in_the_tables_of_keywords():
    """Names in the tables are names that the readers know."""
    from galstep.datamodels.images import fits_header, fits_input
    from galstep.datamodels.psf import psf_fits

    text = (DOCS / "inputs.rst").read_text()
    for name in (*fits_input._ROLES, *psf_fits._STPSF_NAMES, "DET_SAMP", "PIXELSCL"):
        assert f"``{name}``" in text or name in ("DATA",), name
    assert "``ABZP``" in text and "ABZP" in fits_header._AB_ZERO_POINTS


def test_forced_photometry(capsys):
    table = run_python("steps/forced_scale_fit.rst", {})["table"]
    assert "flux_limit" in capsys.readouterr().out
    pull = (np.array(table["flux"]) - [100.0, 40.0, 900.0, 0.0]) / table["flux_err"]
    assert np.abs(pull).max() < 3.5
