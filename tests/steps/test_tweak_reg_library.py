"""TweakReg on a library on disk: one model at a time."""

import gc
import json
import pickle
import tracemalloc
import weakref

import numpy as np
import pytest

pytest.importorskip("tweakwcs")
from exposures import Library, Model
from often import first_often
from stpipe import Step

from galstep.datamodels.sky.exposures import open_exposures
from galstep.datamodels.sky.lent_model import LentPlane, in_memory
from galstep.steps import TweakReg
from galstep.testing.gwcs_models import exposure_gwcs
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, tan_wcs

SHAPE = (300, 300)
N_MODELS = 20
OPTIONS = dict(bkg_boxsize=80, separation=0.1, tolerance=0.15)


class Counted(Model):
    """A model that is known while it lives."""

    alive = weakref.WeakSet()
    most = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen()

    def seen(self):
        Counted.alive.add(self)
        Counted.most = max(Counted.most, len(Counted.alive))

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.seen()

    def save(self, path, dir_path=None, *args, **kwargs):
        path = path if dir_path is None else f"{dir_path}/{path}"
        with open(path, "wb") as stream:
            pickle.dump(self, stream)
        return path


class DiskLibrary(Library):
    """Of pickled models."""

    @staticmethod
    def open_model(path):
        with open(path, "rb") as stream:
            return pickle.load(stream)


@pytest.fixture(scope="module")
def association(tmp_path_factory):
    """Exposures of one sky, each moved by its number in tenths of a pixel."""
    folder = tmp_path_factory.mktemp("library")
    rng = np.random.default_rng(6)
    x, y = rng.uniform(15, 285, (2, 60))
    flux, psf = 10 ** rng.uniform(2.5, 4, 60), default_psf("F150W")
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    members = []
    for number in range(N_MODELS):
        data = star_frame(SHAPE, psf, x + 0.1 * number, y, flux) + rng.normal(0, 0.5, SHAPE)
        name = f"exposure_{number}"
        Counted(data.astype("f4"), wcs, info, filename=name).save(folder / name)
        members.append({"expname": name, "exptype": "science", "group_id": name})
    path = folder / "x_asn.json"
    path.write_text(json.dumps({"products": [{"members": members}]}))
    return str(path)


@pytest.fixture(autouse=True)
def counted():
    gc.collect()
    Counted.alive.clear()
    Counted.most = 0


class Host(Step):
    spec = "output_ext = string(default='.fits')"


@pytest.mark.parametrize(
    "hosted", first_often([False, True], 1), ids=["alone", "in a host's pipeline"]
)
def test_one_model_at_a_time(association, hosted, elsewhere):
    library = DiskLibrary(association, on_disk=True)
    result = TweakReg(parent=Host() if hosted else None, skip=False, **OPTIONS).run(library)
    # one, and at the end the copy with a corrected WCS beside it
    assert Counted.most <= 2
    assert not Counted.alive
    if hosted:
        assert result is library
        with library:
            for number in (0, 7, 19):
                model = library.borrow(number)
                assert model.meta.cal_step.tweakreg == "COMPLETE"
                _assert_right(model.meta.wcs, number)
                library.shelve(model, number, modify=False)
    else:
        assert list(result.summary["status"]) == ["reference"] + ["aligned"] * (N_MODELS - 1)
        _assert_right(result[7].wcs, 7)


def _assert_right(wcs, number):
    true = tan_wcs(SHAPE, shift=(0.1 * number, 0.0))
    x, y = true.all_world2pix(*wcs(150.0, 150.0), 0)
    assert np.hypot(x - 150, y - 150) < 0.03


@pytest.mark.slow
def test_memory_does_not_grow_with_the_library(association, elsewhere):
    """Data, error and bits of a model are three planes; of 16 more models, 48."""
    with open(association) as stream:
        content = json.load(stream)
    content["products"][0]["members"] = content["products"][0]["members"][:4]
    few = association.replace("x_asn", "few_asn")
    with open(few, "w") as stream:
        json.dump(content, stream)
    held = []
    for path in (few, few, association):  # the first one imports
        tracemalloc.start()
        result = TweakReg(**OPTIONS).run(DiskLibrary(path, on_disk=True))
        gc.collect()  # the models of a WCS are cycles
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del result
    pixels = 16 * 3 * 4 * SHAPE[0] * SHAPE[1]
    assert held[2] - held[1] < 0.3 * pixels  # the WCS, as they came and corrected


@pytest.mark.slow
def test_what_is_saved(association, elsewhere):
    """Of each image a copy of its model, with the corrected WCS."""
    library = DiskLibrary(association, on_disk=True)
    TweakReg(save_results=True, output_dir=str(elsewhere), **OPTIONS).run(library)
    assert Counted.most <= 2
    written = sorted(elsewhere.glob("*_tweakreg.fits"))
    assert len(written) == N_MODELS
    model = DiskLibrary.open_model(elsewhere / "exposure_7_tweakreg.fits")
    _assert_right(model.meta.wcs, 7)


def test_planes_are_read_when_they_are_looked_at(association):
    library = DiskLibrary(association, on_disk=True)
    image = open_exposures([library])[3]
    assert isinstance(image.data, LentPlane)
    assert not Counted.alive
    whole = in_memory(image)
    assert np.array_equal(image.data[10:20, 5], whole.data[10:20, 5])
    assert np.array_equal(np.asarray(image.data), whole.data)
    assert image.shape == SHAPE
    assert in_memory(whole) is whole


def test_a_library_is_whole_after_an_error(association, monkeypatch):
    library = DiskLibrary(association, on_disk=True)
    monkeypatch.setattr(DiskLibrary, "open_model", staticmethod(lambda path: None))
    with pytest.raises(Exception, match="NoneType"):
        open_exposures([library])
    monkeypatch.undo()
    with library:
        library.shelve(library.borrow(0), 0, modify=False)
