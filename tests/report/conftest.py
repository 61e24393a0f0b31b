"""A folder with the products of a batch: measured, failed, pending, and of odd names."""

import numpy as np
import pytest
from report_folder import MAGNITUDES, ODD_NAMES, faded, save
from sample_models import make_model

from galstep.batch.summary import Summary


@pytest.fixture(scope="session")
def batch_folder(tmp_path_factory):
    """What a batch has left."""
    folder = tmp_path_factory.mktemp("report") / "out"
    rng = np.random.default_rng(1)
    names = []
    for name, factor in MAGNITUDES.items():
        model = faded(factor)
        for band in model.bands.values():
            band.data = band.data + rng.normal(0, 0.01, band.shape)
        save(model, folder, name)
        names.append(name)
    for name in ODD_NAMES:
        save(make_model(), folder, name)
        names.append(name)
    rows = {name: {"name": name, "status": "ok", "reason": "", "input": "x"} for name in names}
    reason = "input x.h5: <b>no</b> image & nothing"
    rows["bad"] = {"name": "bad", "status": "failed", "reason": reason, "input": "x"}
    rows["lost"] = {"name": "lost", "status": "ok", "reason": "", "input": "x"}
    rows["later"] = {"name": "later", "status": "pending", "reason": "", "input": "x"}
    Summary(folder / "summary.ecsv", rows).write()
    return folder
