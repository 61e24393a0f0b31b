"""Images are aligned alike whatever their unit, their noise, and the place of RA 0."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

pytest.importorskip("tweakwcs", reason="tweakwcs is not installed")

from galstep.steps import TweakReg

SHAPE, SIDE = (161, 161), 0.03
RNG = np.random.default_rng(3)
STARS = star_frame(
    SHAPE, GaussianMixturePSF.gaussian(1.5), *RNG.uniform(12, 149, (2, 40)),
    RNG.uniform(300, 3000, 40),
)  # fmt: skip
NOISE = [np.random.default_rng(i).normal(size=SHAPE) for i in (0, 1)]
PLACES = {
    "plain": ((10.0, 20.0), ("RA---TAN", "DEC--TAN")),
    "RA 0": ((0.0, 20.0), ("RA---TAN", "DEC--TAN")),
    "pole": ((10.0, 90.0), ("RA---TAN", "DEC--TAN")),
    "galactic": ((0.0, 0.0), ("GLON-TAN", "GLAT-TAN")),
    "declination first": ((20.0, 10.0), ("DEC--TAN", "RA---TAN")),
}


def summary(k=1.0, noise=1.0, error=False, place="plain", **options):
    """Two images of the same stars; the second one's WCS is 3 pixels off."""
    images = []
    for number in (0, 1):
        wcs = WCS(naxis=2)
        wcs.wcs.crval, wcs.wcs.ctype = PLACES[place][0], list(PLACES[place][1])
        wcs.wcs.crpix, wcs.wcs.cdelt = [81 + 3 * number, 81], [-SIDE / 3600, SIDE / 3600]
        plane = StdDevUncertainty(np.full(SHAPE, k * max(noise, 1e-3))) if error else None
        image = CCDData(k * (STARS + noise * NOISE[number]), unit="adu", wcs=wcs,
                        uncertainty=plane, meta={"FILENAME": f"{number}.fits"})  # fmt: skip
        images.append(image)
    return TweakReg(separation=0.1, tolerance=0.15, **options).run(images).summary[1]


@pytest.fixture(scope="module")
def expected():
    return {}


@pytest.mark.parametrize("k", [1.0, 1e-20, 1e6])
@pytest.mark.parametrize("starfinder", ["dao", "iraf"])
@pytest.mark.parametrize("error", [False, True])
def test_scale(expected, k, starfinder, error):
    row = summary(k, error=error, starfinder=starfinder)
    assert row["status"] == "aligned"
    found = [row["shift_x"].value, row["shift_y"].value, row["n_matches"]]
    assert found[:2] == pytest.approx([-3.0, 0.0], abs=0.05)
    # of one frame, whatever its unit: the same stars at the same places
    first = expected.setdefault((starfinder, error), found)
    assert found == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("k", [1.0, 1e-20])
@pytest.mark.parametrize("error", [False, True])
def test_no_noise_at_all(k, error):
    row = summary(k, noise=0.0, error=error)
    assert row["status"] == "aligned"
    assert [row["shift_x"].value, row["shift_y"].value] == pytest.approx([-3.0, 0.0], abs=0.01)


@pytest.mark.parametrize("place", PLACES)
def test_place(place):
    row = summary(place=place)
    assert row["status"] == "aligned"
    shift = np.hypot(row["shift_x"].value, row["shift_y"].value)
    assert shift == pytest.approx(3.0, abs=0.05)
