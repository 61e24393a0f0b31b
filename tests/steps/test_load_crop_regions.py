"""LoadCrop takes place and mask from ds9 regions; StarPhot its stars."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from galstep.steps import LoadCrop, StarPhot
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model


def write(path, *lines):
    path.write_text("# Region file format: DS9\nimage\n" + "\n".join(lines) + "\n")
    return str(path)


def test_the_galaxy_and_the_mask(tmp_path):
    model = unfitted_model(make_scene(4, (121, 121), 3, ("F150W", "F277W"), psf_size=41))
    place = write(tmp_path / "galaxy.reg", "ellipse(31,21,9,5,20)")
    mask = write(tmp_path / "mask.reg", "circle(26,21,4)")
    result = LoadCrop(
        galaxy_region=place, mask_regions=mask, min_crop_size=20, sigma_guess=3.0,
        auto_crop_factor=2.0,
    ).run(model)  # fmt: skip
    for name, band in result.bands.items():
        rows, columns = np.indices(band.shape)
        inside = np.hypot(columns + band.origin[0] - 25, rows + band.origin[1] - 20) < 4
        assert inside.sum() > 30
        assert band.mask[inside].all()
        assert not model.bands[name].mask[20, 25]  # the input is left as it was
    # nothing is there: the guess is the place itself
    base = result.bands["F150W"]
    x_middle = base.origin[0] + (base.shape[1] - 1) / 2
    assert x_middle == pytest.approx(30, abs=10)


def test_stars_at_regions_are_measured(tmp_path):
    synthetic = make_scene(6, (101, 101), 6, ("F150W",), psf_size=81, star_snr=(60, 300))
    truth = synthetic.truth
    band = unfitted_model(synthetic).bands["F150W"]
    image = synthetic.data["F150W"] - synthetic.galaxy["F150W"]
    data = CCDData(image, unit="MJy/sr", uncertainty=StdDevUncertainty(synthetic.err["F150W"]))
    lines = [
        f"point({x + 1},{y + 1}) # point=x"
        for x, y in zip(truth.stars["x"], truth.stars["y"], strict=True)
    ]
    regions = write(tmp_path / "stars.reg", *lines)
    result = StarPhot(finder="none", init_params=regions).run(data, (band.psf, band.oversample))
    assert len(result.catalog) == len(lines)
    pull = (
        result.catalog["flux_fit"].value - np.array(truth.stars["flux_F150W"])
    ) / result.catalog["flux_err"].value
    assert np.abs(pull).max() < 5
