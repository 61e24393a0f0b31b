import numpy as np
import pytest

from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions, tan_wcs


def test_stars_have_their_flux():
    image = star_frame((81, 91), default_psf("F150W"), [40.3, 60.0], [41.7, 20.0], [100.0, 50.0])
    assert image.sum() == pytest.approx(150.0, rel=1e-4)
    assert np.unravel_index(image.argmax(), image.shape) == (42, 40)


def test_stars_keep_their_distance():
    x, y = star_positions(np.random.default_rng(1), 30, (100, 120), 8.0, border=4.0)
    apart = np.hypot(x[:, None] - x, y[:, None] - y)[~np.eye(30, dtype=bool)]
    assert apart.min() >= 8.0
    assert x.min() >= 4.0
    assert x.max() <= 115.0
    assert y.max() <= 95.0
    with pytest.raises(ValueError, match="50 stars 40 px apart do not fit"):
        star_positions(np.random.default_rng(1), 50, (60, 60), 40)


def test_wcs():
    wcs = tan_wcs((100, 200), scale=0.05, centre=(30.0, -10.0), shift=(3.0, -1.0))
    assert np.ravel(wcs.pixel_to_world_values(102.5, 48.5)) == pytest.approx([30.0, -10.0])
    # north is up, east is left
    assert wcs.pixel_to_world_values(102.5, 58.5)[1] == pytest.approx(-10.0 + 0.5 / 3600)
    assert wcs.pixel_to_world_values(92.5, 48.5)[0] > 30.0


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_gwcs_agrees_with_the_projection(rotation):
    pytest.importorskip("gwcs")
    from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

    wcs = tan_wcs((1000, 1000), rotation=rotation)
    exposure, info = exposure_gwcs(wcs, (1000, 1000))
    assert exposure.available_frames == ["detector", "v2v3", "world"]
    for found in (exposure, mosaic_gwcs(wcs, (1000, 1000))):
        for x, y in ((0.0, 0.0), (999.0, 30.0)):
            sky = np.ravel(wcs.pixel_to_world_values(x, y))
            assert found(x, y) == pytest.approx(sky, abs=1e-10)
            assert found.invert(*sky) == pytest.approx((x, y), abs=1e-5)
    v2, v3 = exposure.get_transform("detector", "v2v3")(499.5, 499.5)
    assert (v2, v3) == pytest.approx((info["v2_ref"], info["v3_ref"]))
