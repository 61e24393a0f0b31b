"""Whatever a folder or file is called, images and tables are read there and written there."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galstep.steps import StarPhot
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

SIDE, SHAPE = 0.03, (121, 121)
STAR = GaussianMixturePSF.gaussian(1.5)
RNG = np.random.default_rng(3)
X, Y = RNG.uniform(12, 109, (2, 30))
STARS = star_frame(SHAPE, STAR, X, Y, RNG.uniform(900, 3000, 30))
NAMES = [
    "run#2", "a?b", "%41", "..%2F..%2Fx", "a b", "银河", "[x]", "file:x", "http:x", "a;b&c", "-x",
    "a,b", "(x)", "x" * 120,
]  # fmt: skip


def image(path, number=0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [10, 20]
    wcs.wcs.crpix, wcs.wcs.cdelt = [61 + 3 * number, 61], [-SIDE / 3600, SIDE / 3600]
    data = STARS + np.random.default_rng(number).normal(size=SHAPE)
    fits.PrimaryHDU(data.astype("f4"), wcs.to_header()).writeto(path)
    return str(path)


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_star_field(tmp_path, name):
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    path = image(folder / f"{name}.fits")
    psf = folder / f"psf {name}.fits"
    fits.PrimaryHDU(STAR.sampled(4, 61), fits.Header({"OVERSAMP": 4})).writeto(psf)
    stars = folder / f"stars {name}.ecsv"
    Table({"x": X, "y": Y}).write(stars)
    # the parameters as well are read from a file of this name
    StarPhot(qa_figure=False, finder="none").export_config(folder / f"own {name}.asdf")
    before = files(tmp_path)
    step = StarPhot.from_config_file(str(folder / f"own {name}.asdf"))
    step.psf_file, step.init_params = str(psf), str(stars)
    step.save_results, step.output_dir = True, str(tmp_path / f"out {name}")
    assert len(step.run(path)) == 30
    new = files(tmp_path) - before
    assert len(new) >= 2
    assert {path.parent for path in new} == {tmp_path / f"out {name}"}


@pytest.mark.parametrize("name", NAMES)
def test_alignment(tmp_path, name):
    pytest.importorskip("tweakwcs", reason="tweakwcs is not installed")
    from galstep.steps import TweakReg

    folder = tmp_path / f"in {name}"
    folder.mkdir()
    paths = [image(folder / f"{name}{number}.fits", number) for number in (0, 1)]
    before = files(tmp_path)
    step = TweakReg(separation=0.1, tolerance=0.15)
    step.save_results, step.output_dir = True, str(tmp_path / f"out {name}")
    row = step.run(*paths).summary[1]
    assert row["status"] == "aligned"
    assert row["shift_x"].value == pytest.approx(-3.0, abs=0.05)
    new = files(tmp_path) - before
    assert {path.parent for path in new} == {tmp_path / f"out {name}"}
    assert len([path for path in new if path.suffix == ".fits"]) == 2
