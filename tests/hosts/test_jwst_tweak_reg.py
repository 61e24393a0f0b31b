"""TweakReg on jwst's own models, container, library and association, and beside its step."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

pytest.importorskip("jwst", reason="jwst is not installed")
pytest.importorskip("tweakwcs")

from jwst.datamodels import ModelContainer, ModelLibrary
from jwst.stpipe import Pipeline
from jwst.tweakreg import TweakRegStep
from stdatamodels.jwst.datamodels import ImageModel

from galstep.steps import TweakReg
from galstep.testing.gwcs_models import exposure_gwcs
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, tan_wcs

pytestmark = [
    pytest.mark.slow,
    # of the host's, none of our matter
    pytest.mark.filterwarnings("default"),
]

SHAPE = (240, 260)
SHIFT = (4.0, -2.5)
OPTIONS = dict(bkg_boxsize=80, separation=0.5, tolerance=0.3)


@pytest.fixture(autouse=True)
def _no_reference_server(monkeypatch, tmp_path):
    monkeypatch.setenv("STPIPE_DISABLE_CRDS_STEPPARS", "true")
    monkeypatch.setattr("stpipe.crds_client.get_context_used", lambda observatory: "none")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(5, 235, (2, 60))
    flux = 10 ** rng.uniform(2.5, 4, 60)
    places = ((x, y), (x + SHIFT[0], y + SHIFT[1]))
    psf = default_psf("F150W")
    return [star_frame(SHAPE, psf, *xy, flux) + rng.normal(0, 0.5, SHAPE) for xy in places]


@pytest.fixture
def models(frames):
    return [image_model(data, name, name) for data, name in zip(frames, "ab", strict=True)]


def image_model(data, name, group):
    model = ImageModel(SHAPE)
    model.data = data.astype("f4")
    model.dq = model.get_default("dq")
    model.meta.wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    for key, value in {**info, "v3yangle": 0.0, "vparity": -1, "ra_ref": 150.1,
                       "dec_ref": 2.2, "s_region": "POLYGON ICRS 1 2 3 4"}.items():  # fmt: skip
        setattr(model.meta.wcsinfo, key, value)
    model.meta.observation.date = "2026-01-01T00:00:00.0"
    model.meta.filename = f"{name}_cal.fits"
    model.meta.group_id = group
    return model


def frame_error(wcs, shift=SHIFT):
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 259, 5), np.linspace(0, 239, 5)))
    got = tan_wcs(SHAPE, shift=shift).all_world2pix(*wcs(x, y, with_bounding_box=False), 0)
    return np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2))


@pytest.mark.parametrize("container", [list, ModelContainer, ModelLibrary])
def test_models_as_jwst_holds_them(models, container):
    result = TweakReg(**OPTIONS).run(container(models))
    assert list(result.summary["status"]) == ["reference", "aligned"]
    assert list(result.summary["group"]) == ["a", "b"]
    changed = result.models[1]
    assert frame_error(changed.meta.wcs) < 0.03
    assert changed.meta.cal_step.tweakreg == "COMPLETE"
    assert changed.meta.wcsinfo.s_region.count(".") == 8
    assert models[1].meta.cal_step.tweakreg is None
    # the FITS keywords say the same
    changed.save("again.fits")
    with ImageModel("again.fits") as again:
        assert frame_error(again.meta.wcs) < 0.03
        header = WCS(fits.getheader("again.fits", "SCI"))
        assert header.all_pix2world(0.0, 0.0, 0) == pytest.approx(
            again.meta.wcs(0.0, 0.0), abs=1e-8
        )


def test_association(models, tmp_path):
    for model in models:
        model.save(tmp_path / model.meta.filename)
    members = [{"expname": m.meta.filename, "exptype": "science"} for m in models]
    (tmp_path / "x_asn.json").write_text(
        json.dumps({"asn_id": "a", "asn_pool": "b", "products": [{"members": members}]})
    )
    TweakReg(save_results=True, **OPTIONS).run("x_asn.json")
    with ImageModel("b_cal_tweakreg.fits") as model:
        assert frame_error(model.meta.wcs) < 0.03
        assert model.meta.cal_step.tweakreg == "COMPLETE"
        assert "v2v3corr" in model.meta.wcs.available_frames
    # what we wrote goes on being exposures that jwst's step aligns
    for member in members:
        member["expname"] = member["expname"].replace(".fits", "_tweakreg.fits")
    (tmp_path / "y_asn.json").write_text(
        json.dumps({"asn_id": "a", "asn_pool": "b", "products": [{"members": members}]})
    )
    again = TweakReg(**OPTIONS).run(ModelLibrary("y_asn.json"))
    shift = [again.summary[f"shift_{axis}"][1].value for axis in "xy"]
    assert shift == pytest.approx([0.0, 0.0], abs=0.01)


def test_in_place_of_the_step_of_jwst(models):
    """As a step of a pipeline of jwst: a library comes, and goes on corrected."""

    class Mine(Pipeline):
        class_alias = "mine"
        spec = ""
        step_defs = {"tweakreg": TweakReg}

        def process(self, library):
            return self.tweakreg.run(library)

    step = Mine(steps={"tweakreg": {"skip": False, **OPTIONS}})
    library = ModelLibrary(models)
    found = step.run(library)
    with found:
        model = found.borrow(1)
        assert frame_error(model.meta.wcs) < 0.03
        assert model.meta.cal_step.tweakreg == "COMPLETE"
        found.shelve(model, 1, modify=False)


def test_groups_as_jwst_makes_them(frames):
    """One exposure of two chips: jwst's library and ours agree that nothing is to be aligned."""
    models = [image_model(data, name, None) for data, name in zip(frames, "ab", strict=True)]
    for model in models:
        for name in ("program_number", "observation_number", "visit_number", "visit_group",
                     "sequence_id", "activity_id", "exposure_number"):  # fmt: skip
            setattr(model.meta.observation, name, "1")
    assert len(ModelLibrary([m.copy() for m in models]).group_names) == 1
    for given in (models, ModelContainer(models), ModelLibrary([m.copy() for m in models])):
        result = TweakReg(**OPTIONS).run(given)
        assert list(result.summary["status"]) == ["failed", "failed"]
        assert [image.meta.cal_step.tweakreg for image in result] == ["FAILED", "FAILED"]


def test_both_steps_agree(models):
    options = dict(starfinder="dao", sharplo=0.2, sharphi=1.0, roundlo=-1.0, roundhi=1.0)
    ours = TweakReg(**options, **OPTIONS).run(models)
    library = TweakRegStep(**options, **OPTIONS).run(ModelContainer(models))
    with library:
        model = library.borrow(1)
        theirs = frame_error(model.meta.wcs)
        library.shelve(model, 1, modify=False)
    assert frame_error(ours[1].wcs) < max(1.2 * theirs, 0.02)
