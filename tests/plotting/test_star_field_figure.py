from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from galstep.datamodels.sky.sky_image import SkyImage
from galstep.plotting.star_field import star_field_figure


class Field:
    """A measured field of 1200 x 900 pixels, which is thinned for the picture."""

    def __init__(self, n_stars):
        rng = np.random.default_rng(1)
        data = rng.normal(0, 1, (1200, 900))
        data[:10] = np.nan
        self.image = SkyImage("field", data)
        flux = 10 ** rng.uniform(1, 3, n_stars)
        self.rows = SimpleNamespace(
            x_fit=rng.uniform(0, 900, n_stars), y_fit=rng.uniform(0, 1200, n_stars),
            flux_fit=flux, flux_err=np.full(n_stars, 2.0),
        )  # fmt: skip

    def __len__(self):
        return len(self.rows.flux_fit)

    def residual_image(self):
        return self.image.data


@pytest.mark.parametrize("n_stars", [0, 30])
def test_figure(n_stars):
    figure = star_field_figure(Field(n_stars))
    data, residual, errors = figure.axes
    assert data.get_title() == f"field: {n_stars} stars"
    assert "sigma 0.99" in residual.get_title()
    image = residual.images[0]
    # every second pixel, drawn where it lies in the field
    assert image.get_array().shape == (600, 450)
    assert image.get_extent() == [-0.5, 899.5, -0.5, 1199.5]
    assert len(data.collections[0].get_offsets()) == n_stars
    if n_stars:
        x, y = errors.lines[0].get_data()
        assert y == pytest.approx(2.0 / x)
    figure.canvas.draw()
