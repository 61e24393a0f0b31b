r"""A name is drawn as it is written, in every picture: a ``$`` begins no formula."""

import pytest
from astropy.io import fits

from galstep.records import SersicParams
from galstep.steps import PSFCalibrate, StarPhot
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

SHAPE = (61, 61)
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = (STAR.sampled(4, 61), 4)
NAMES = ["$\\frac$", "$\\sqrt{$", "a$b$c", "a_b^{c", "Hα", "银河 $"]


@pytest.fixture(scope="module")
def model():
    shape = SersicParams(30.0, 30.0, 4.0, 1.0, 0.2, 0.3)
    return unfitted_model(make_scene(3, SHAPE, 8, ("F150W",), psf_size=41, sersic=shape))


@pytest.mark.parametrize("name", NAMES)
def test_a_star_field(tmp_path, name):
    data = star_frame(SHAPE, STAR, [30.3], [29.6], [500.0])
    fits.PrimaryHDU(data).writeto(tmp_path / f"{name}.fits")
    step = StarPhot(save_regions=False)
    step.save_results, step.output_dir = True, str(tmp_path / "out")
    step.run(tmp_path / f"{name}.fits", PSF)
    written = [path.name.partition("_starphot") for path in (tmp_path / "out").iterdir()]
    assert {end for *_, end in written} == {".ecsv", ".png", "_residual.fits"}
    assert len({start for start, *_ in written}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_calibrated_psfs(tmp_path, model, name):
    odd = model.copy()
    odd.meta.name = f"galaxy {name}"
    odd.bands[name] = odd.bands.pop("F150W")
    odd.bands[name].name = odd.meta.base_filter = name
    step = PSFCalibrate()
    step.save_results, step.output_dir = True, str(tmp_path)
    result = step.run(odd)
    assert len(list(tmp_path.glob("*_psf.png"))) == 1
    # only the picture's names are other ones
    assert list(result.bands) == [name]
