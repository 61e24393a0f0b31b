import numpy as np
import pytest
from scipy.spatial import cKDTree

from galstep.core.align.catalog import FinderOptions, Positions, find_positions, psf_offset
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
