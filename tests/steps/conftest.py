"""One small galaxy in three filters, and what each fit step makes of it."""

import pytest

from galstep.records import SersicParams
from galstep.steps import BaseFit, ForcedScaleFit, JointFit, ScaleFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model


@pytest.fixture(scope="session")
def scene():
    """A galaxy of S/N 200 among 14 stars; the filters are shifted against F150W."""
    return make_scene(
        3,
        (91, 91),
        14,
        ("F090W", "F150W", "F277W"),
        snr=200.0,
        sersic=SersicParams(44.3, 46.8, 6.0, 1.2, 0.3, 0.7),
        star_separation=7,
        star_snr=(25, 300),
        psf_size=101,
        offsets={"F090W": (0.3, -0.2), "F277W": (-0.3, 0.3)},
    )


@pytest.fixture(scope="session")
def unfitted(scene):
    """Its images. Steps copy what they are given, so the tests may share it."""
    return unfitted_model(scene)


@pytest.fixture(scope="session")
def based(unfitted):
    """After BaseFit."""
    return BaseFit().run(unfitted)


@pytest.fixture(scope="session")
def scaled(based):
    """After BaseFit and ScaleFit of the other filters."""
    return ScaleFit().run(based)


@pytest.fixture(scope="session")
def forced(based):
    """After BaseFit and ForcedScaleFit of the other filters."""
    return ForcedScaleFit(filters=["F090W", "F277W"]).run(based)


@pytest.fixture(scope="session")
def joint(scaled):
    """After BaseFit, ScaleFit and JointFit."""
    return JointFit().run(scaled)
