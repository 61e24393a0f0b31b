"""GalPipeline on two filters with other pixels: from a file, and a model in memory."""

import numpy as np
import pytest
from astropy.table import QTable

from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid
from galstep.testing.models import unfitted_model

# the steps on two grids have quick tests of their own
pytestmark = pytest.mark.slow

FINE, COARSE = "F150W", "F277W"
GRID = PixelGrid((56, 54), 0.063, np.radians(20))


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        seed=8,
        shape=(91, 91),
        n_stars=12,
        filters=(FINE, COARSE),
        snr=200.0,
        sersic=SersicParams(44.3, 46.8, 6.0, 1.2, 0.3, 0.7),
        fluxes={FINE: 45.0, COARSE: 13.0},
        star_separation=7,
        star_snr=(25, 300),
        psf_size=81,
        psfs={COARSE: default_psf(COARSE, 2.0)},
        offsets={COARSE: (0.4, -0.3)},
        grids={COARSE: GRID},
    )


@pytest.fixture(scope="module")
def folders(scene, tmp_path_factory):
    """Products of both runs."""
    path = tmp_path_factory.mktemp("grids")
    image, psf = (
        str(write(path / name))
        for write, name in ((scene.write_hdf5, "two.h5"), (scene.write_psf, "psf.h5"))
    )
    for name, source, options in (
        ("file", image, {"psf_file": psf}),
        ("memory", unfitted_model(scene, "two"), {}),
    ):
        (path / name).mkdir()
        GalPipeline.call(
            source,
            steps={"loadcrop": options},
            output_dir=str(path / name),
            save_results=True,
            configure_log=False,
        )
    return path / "file", path / "memory"


def table(folder, kind):
    return QTable.read(folder / f"two_{kind}.ecsv")


def test_the_truth_is_found(folders, scene):
    for folder in folders:
        for row in table(folder, "sersic"):
            truth = scene.truth.sersic.moved(*scene.truth.offsets[row["filter"]])
            for key in ("x_0", "y_0", "r_eff", "n", "ellip", "theta"):
                error = row[f"{key}_err"].value
                assert row[key].value == pytest.approx(getattr(truth, key), abs=4 * error), key
            magnitude = scene.truth.mag_ab(row["filter"])
            assert row["mag_ab"].value == pytest.approx(magnitude, abs=4 * row["mag_ab_err"].value)
            assert row["flags"] == 0
        phot = table(folder, "phot")[1]
        colour = scene.truth.mag_ab(COARSE) - scene.truth.mag_ab(FINE)
        assert phot["color"].value == pytest.approx(colour, abs=4 * phot["color_err"].value)
        assert 0 < phot["color_err"].value < 0.03


def test_file_and_memory_give_the_same(folders):
    # images in the file are float32
    for kind, columns in {
        "sersic": ("x_0", "r_eff", "n", "flux", "flux_err", "ra", "dec"),
        "stars": ("x", "y", "flux", "ra", "dec"),
        "phot": ("color", "aper_flux", "aper_color"),
    }.items():
        one, two = (table(folder, kind) for folder in folders)
        for column in columns:
            np.testing.assert_allclose(one[column].value, two[column].value, rtol=1e-3, atol=1e-6)


def test_the_picture_and_the_regions_are_made(folders):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    for folder in folders:
        assert (folder / "two_qa.png").stat().st_size > 10_000
        first, second = sorted(folder.glob("two_*aper.reg"), key=lambda path: len(path.name))
        assert first.name == "two_aper.reg"
        one, other = first.read_text(), second.read_text()
        assert "ellipse" in one and "ellipse" in other
        for band in (FINE, COARSE):  # each grid has its own file
            assert (band in one) != (band in other)
            assert (band in second.name) == (band in other)
