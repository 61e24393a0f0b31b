"""The picture of a field is drawn, before a fit and after."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from galstep.plotting.field import field_figure
from galstep.steps import LoadField
from galstep.testing.fields import make_field


@pytest.mark.parametrize("fitted", [False, True])
def test_picture(tmp_path, fitted):
    field = make_field(3, (80, 90), 5, 1, subsample=1)
    model = LoadField(catalog=field.catalog).run(str(field.write(tmp_path)))
    model.meta.name = "odd $\\frac"
    model.ellipses = np.array([[20.0, 30.0, 6.0, 4.0, 0.3]])
    residual = None
    if fitted:
        residual = np.random.default_rng(0).normal(size=(80, 90))
        for band in model.bands:
            model.catalog[f"flux_{band}"][:] = 1000.0 * model.catalog[f"flux_{band}"].unit
            model.catalog[f"flux_{band}_err"][:] = 10.0 * model.catalog[f"flux_{band}"].unit
            model.start[f"reference_mag_{band}"] = 17.5
            model.bands[band].zp, model.bands[band].zp_err = 25.0, 0.01
    figure = field_figure(model, field.images["g"], residual, 5.0, 1)
    figure.savefig(tmp_path / "x.png")
    assert len(figure.axes) == 4
    # sources and the ellipse of the mask
    assert len(figure.axes[0].patches) == len(model) + 1
    legends = [axis.get_legend() for axis in figure.axes]
    assert (legends[3] is not None) == fitted
