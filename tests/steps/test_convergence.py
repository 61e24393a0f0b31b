"""The passes of a main loop, as they are kept."""

import numpy as np
from toy_steps import toy_model

from galstep.datamodels import GalaxyModel
from galstep.records import SersicParams
from galstep.steps.galaxy.convergence import note_passes


def history():
    shapes = [SersicParams(20.0, 21.0, r, 1.5, 0.3, 0.8) for r in (5.0, 5.5)]
    return [
        {"threshold": 10.0 / (i + 1), "n_found": 3 - i, "n_stars": 3 + i, "chi2": 90.0 - i,
         "shape": shape.to_vector()}
        for i, shape in enumerate(shapes)
    ]  # fmt: skip


def test_shapes_and_counts_of_every_pass(tmp_path):
    model = toy_model()
    note_passes(model, "basefit", history())
    passes = model.meta.convergence["basefit"]
    assert passes["threshold"] == [10.0, 5.0]
    assert passes["n_stars"] == [3.0, 4.0]
    np.testing.assert_allclose(passes["r_eff"], [5.0, 5.5])
    np.testing.assert_allclose(passes["theta"], 0.8)
    again = GalaxyModel.open(model.save(tmp_path / "toy_gal.asdf"))
    assert again.meta.convergence == model.meta.convergence


def test_of_two_components_the_first_counts():
    model = toy_model()
    entries = history()
    for entry in entries:
        entry["shape"] = np.concatenate([entry["shape"], entry["shape"] + 1])
    note_passes(model, "jointfit", entries)
    np.testing.assert_allclose(model.meta.convergence["jointfit"]["x_0"], 20.0)
