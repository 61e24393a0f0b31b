import numpy as np
import pytest
from scipy.spatial import cKDTree

from galstep.core.align.catalog import Positions, find_positions, psf_offset
from galstep.core.align.options import FinderOptions
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import ParameterError
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions

SHAPE = (220, 260)


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    x, y = star_positions(rng, 40, SHAPE, 18, border=12)
    flux = 10 ** rng.uniform(2.3, 4, 40)
    image = star_frame(SHAPE, default_psf("F150W"), x, y, flux)
    # a slope, which the background takes off
    image += 5 + 0.01 * np.arange(SHAPE[1]) + rng.normal(0, 0.5, SHAPE)
    return x, y, flux, image


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
def test_stars_are_where_they_are(scene, starfinder):
    x, y, _, image = scene
    options = FinderOptions(starfinder=starfinder, bkg_boxsize=50)
    found = find_positions(image, np.zeros(SHAPE, bool), options)
    distance, nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([found.x, found.y]))
    assert len(found) >= 36
    assert (distance < 1).all()
    assert len(np.unique(nearest)) == len(found)
    assert np.std(found.x - x[nearest]) < 0.08
    assert np.all(np.diff(found.flux) <= 0)
    # the errors are of the size of what is seen
    pulls = (found.x - x[nearest]) / found.error
    assert 0.3 < np.std(pulls) < 2.5


def test_masked_stars_are_not_found(scene):
    x, y, _, image = scene
    mask = np.zeros(SHAPE, bool)
    mask[:, :130] = True
    image = np.where(mask, np.nan, image)
    found = find_positions(image, mask, FinderOptions(bkg_boxsize=50))
    assert len(found) > 10
    assert found.x.min() > 128


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
def test_nothing_to_find(starfinder):
    noise = np.random.default_rng(6).normal(0, 1, (64, 64))
    options = FinderOptions(starfinder=starfinder, snr_threshold=50.0)
    assert len(find_positions(noise, np.zeros((64, 64), bool), options)) == 0


def test_no_data():
    assert (
        len(find_positions(np.full((20, 20), np.nan), np.ones((20, 20), bool), FinderOptions()))
        == 0
    )
    assert len(find_positions(np.ones((20, 20)), np.zeros((20, 20), bool), FinderOptions())) == 0


def test_brightest_are_kept(scene):
    x, y, flux, image = scene
    options = FinderOptions(brightest=5, bkg_boxsize=50)
    found = find_positions(image, np.zeros(SHAPE, bool), options)
    _, nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([found.x, found.y]))
    assert len(found) == 5
    assert set(nearest) <= set(np.argsort(-flux)[:7])


def test_peakmax_leaves_bright_stars_out(scene):
    image = scene[3]
    options = FinderOptions(peakmax=100.0, bkg_boxsize=50)
    found = find_positions(image, np.zeros(SHAPE, bool), options)
    values = image[np.rint(found.y).astype(int), np.rint(found.x).astype(int)]
    assert 0 < len(found) < 40
    assert values.max() < 115


@pytest.mark.parametrize("starfinder", ["dao", "iraf"])
def test_psf_off_its_centre(starfinder):
    array = np.roll(default_psf("F150W").sampled(4, 161), (1, -2), axis=(0, 1))
    options = FinderOptions(starfinder=starfinder, sharplo=0.1, sharphi=2.0)
    found = psf_offset(EffectivePSF.from_array(array, 4), options)
    assert found == pytest.approx([-0.5, 0.25], abs=0.02)
    centred = EffectivePSF.from_array(default_psf("F150W").sampled(4, 161), 4)
    assert psf_offset(centred, options) == pytest.approx([0.0, 0.0], abs=0.02)


def test_psf_that_is_no_star_for_the_finder():
    psf = EffectivePSF.from_array(np.ones((161, 161)), 4)
    assert psf_offset(psf, FinderOptions()).tolist() == [0.0, 0.0]


def test_selection():
    stars = Positions(*np.arange(12.0).reshape(4, 3))
    assert stars.select(np.array([2, 0])).flux.tolist() == [8.0, 6.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(starfinder="sextractor"), "starfinder must be dao, iraf or segmentation, got 'sex"),
        (dict(kernel_fwhm=0.0), "kernel_fwhm must be positive, got 0.0"),
        (dict(sharplo=1.0, sharphi=0.5), "sharplo must be below sharphi, got 1.0 and 0.5"),
        (dict(roundlo=2.0), "roundlo must be below roundhi, got 2.0 and 1.0"),
    ],
)
def test_bad_options(values, message):
    with pytest.raises(ParameterError, match=message):
        FinderOptions(**values)


@pytest.mark.parametrize("starfinder", ["dao", "iraf", "segmentation"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_no_scale_of_its_own(starfinder, noise):
    """One catalogue whatever the unit, with noise and without; the level does not matter."""
    if starfinder == "segmentation":
        pytest.importorskip("skimage", reason="photutils deblends with scikit-image")
    rng = np.random.default_rng(3)
    y, x = np.indices((151, 151))
    places = [(15 + 30 * i + rng.uniform(-3, 3), 15 + 30 * j + rng.uniform(-3, 3))
              for i in range(5) for j in range(5)]  # fmt: skip
    data = sum(
        rng.uniform(300, 3000) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4.5) / 14.1
        for a, b in places
    )
    data = data + rng.normal(0, noise, data.shape) if noise else data
    mask = np.zeros(data.shape, dtype=bool)
    options = FinderOptions(starfinder=starfinder, npixels=5, snr_threshold=8.0)
    first = find_positions(data, mask, options)
    assert len(first) == 25
    for factor, level in ((1e-20, 0.0), (1e-6, 3.0), (1e6, 0.0), (1.0, -50.0), (1.0, 1e4)):
        found = find_positions(factor * (data + level), mask, options)
        assert len(found) == 25
        assert found.x == pytest.approx(first.x, abs=1e-3)
        assert found.y == pytest.approx(first.y, abs=1e-3)
        assert found.flux / factor == pytest.approx(first.flux, rel=1e-3)
        assert found.error == pytest.approx(first.error, rel=1e-3)


def test_peakmax_is_in_the_unit_of_the_image():
    y, x = np.indices((101, 101))
    data = sum(f * np.exp(-((x - a) ** 2 + (y - 50) ** 2) / 4.5) for f, a in ((10, 30), (100, 70)))
    mask = np.zeros(data.shape, dtype=bool)
    for factor in (1e-9, 1.0, 1e9):
        found = find_positions(factor * data, mask, FinderOptions(peakmax=50 * factor))
        assert found.x == pytest.approx([30.0], abs=0.01)
