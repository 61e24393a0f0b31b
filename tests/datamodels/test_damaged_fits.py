"""FITS files with random damage: a model or one clear line, never anything else."""

import numpy as np
import pytest
from mosaics import DEC, RA, i2d_hdus, psf_of

from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError

N_FILES = 40
VALUES = ("1e400", "-1", "0", "NaN", "'abc'", "T", "99999999", "1.5", "''", "(1, 2)")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a mosaic of some 20 pixels a side."""
    path = tmp_path_factory.mktemp("sound") / "x.fits"
    i2d_hdus(shape=(20, 24)).writeto(path)
    return path.read_bytes()


def letters(content, rng):
    """A few characters of the headers are others."""
    for _ in range(rng.integers(1, 6)):
        content[rng.integers(2880 * 3)] = rng.integers(32, 127)
    return content


def cut_off(content, rng):
    """The end is missing."""
    return content[: rng.integers(10, len(content))]


def values(content, rng):
    """The value of a keyword is another."""
    card = 80 * rng.integers(2880 * 3 // 80)
    content[card + 10 : card + 80] = f" {rng.choice(VALUES)}".ljust(70).encode()
    return content


def noise(content, rng):
    """Bytes anywhere are others."""
    for _ in range(rng.integers(1, 30)):
        content[rng.integers(len(content))] = rng.integers(256)
    return content


@pytest.mark.parametrize("damage", [letters, cut_off, values, noise])
def test_a_model_or_one_line(sound, tmp_path, damage):
    path = tmp_path / "x_f150w.fits"
    outcomes = {"model": 0, "error": 0}
    for seed in range(N_FILES):
        rng = np.random.default_rng(seed)
        path.write_bytes(bytes(damage(bytearray(sound), rng)))
        cut = {"ra": RA, "dec": DEC, "size": 0.7} if seed % 2 else {}
        try:
            psf_file = psf_of("F150W")["F150W"]
            model = GalaxyModel.open(path, psf_file=psf_file, **cut)
        except GalstepError as error:
            assert "\n" not in str(error)
            outcomes["error"] += 1
        else:
            band = next(iter(model.bands.values()))
            assert np.isfinite(band.data[~band.mask]).all()
            assert band.pixel_scale > 0
            outcomes["model"] += 1
    assert outcomes["error"]
    assert sum(outcomes.values()) == N_FILES
