"""The error of an aperture never falls where the aperture grows."""

import numpy as np
import pytest
from often import first_often

from galstep.records import SersicParams
from galstep.steps import AperPhot, BaseFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

NAME = "F150W"
SCENES = {
    "white": {},
    "correlated": dict(noise="correlated"),
    "n = 4": dict(n=4.0),
    "fills the frame": dict(r_eff=13.0),
    "faint": dict(snr=20.0),
    "a gap": dict(gap=True),
}
OPTIONS = {
    "default": {},
    "error plane": dict(error_on="data_error"),
    "with stars": dict(measure_on="data", measure_sky_on="psf_sub_data"),
    "close": dict(center_mask=0.0),
    "nowhere": dict(center_mask=20.0),
}


@pytest.fixture(scope="module", params=SCENES)
def fitted(request):
    options = {"n": 1.0, "r_eff": 5.0, "snr": 300.0, "gap": False} | SCENES[request.param]
    shape = SersicParams(45.3, 44.8, options.pop("r_eff"), options.pop("n"), 0.3, 0.7)
    gap = options.pop("gap")
    scene = make_scene(
        3, (91, 91), 6, (NAME,), sersic=shape, psf_size=41, star_snr=(40, 200), star_separation=8,
        **options,
    )  # fmt: skip
    model = unfitted_model(scene)
    if gap:
        band = model.bands[NAME]
        band.mask[50:54] = True
        band.data[50:54] = np.nan
    return BaseFit(iter_basefit=1).run(model)


@pytest.mark.parametrize("options", first_often(OPTIONS, 1))
def test_errors_of_growing_ellipses(fitted, options):
    radii = np.arange(3.0, 60.0, 3.0)
    own = AperPhot(radii=list(radii), **OPTIONS[options]).run(fitted).bands[NAME].aperture
    found = [other for other in own.others if other.kind == "ellipse"]
    error = np.array([other.flux_err for other in found])
    assert len(error) == len(radii)
    error = error[np.isfinite(error)]  # too large a part of them may be without data
    assert len(error) > 5
    assert (np.diff(error) >= -1e-9 * error[:-1]).all()
