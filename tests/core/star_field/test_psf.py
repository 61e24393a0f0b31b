import numpy as np
import pytest
from astropy.nddata import NDData
from photutils.psf import GriddedPSFModel
from star_scenes import OVERSAMPLE, SIZE, VaryingPSF

from galstep.core.psf.effective import EffectivePSF
from galstep.core.star_field.psf import PsfField
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame

SHAPE = (120, 160)


@pytest.fixture(scope="module")
def psf():
    return VaryingPSF(SHAPE)


def test_stars_as_by_the_formula(psf):
    x, y, flux = (
        np.array([20.3, 100.8, 158.2]),
        np.array([30.1, 64.5, 3.3]),
        np.array([10, 20, 30.0]),
    )
    field = psf.field()
    half = np.full(3, field.half_size)
    image = field.render((60, 80), (70, 10), x, y, flux, half)
    truth = star_frame(SHAPE, psf, x, y, flux)[10:70, 70:150]
    assert image == pytest.approx(truth, abs=2e-3)


def test_stars_as_photutils_has_them(psf):
    data = [c.sampled(OVERSAMPLE, SIZE) * OVERSAMPLE**2 for c in psf.corners]
    positions = [(x, y) for y in psf.y_grid for x in psf.x_grid]
    meta = {"grid_xypos": positions, "oversampling": OVERSAMPLE}
    model = GriddedPSFModel(NDData(np.array(data), meta=meta))
    yy, xx = np.mgrid[20:50, 30:70]
    for x, y in ((48.27, 33.9), (50.0, 40.5)):
        theirs = model.evaluate(xx, yy, 7.0, x, y)
        ours = psf.field().render((30, 40), (30, 20), np.array([x]), np.array([y]), np.array([7.0]),
                                  np.array([40]))  # fmt: skip
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_outside_the_grid_the_edge_counts(psf):
    index, weight = psf.field().weights(np.array([-50.0, 500.0]), np.array([-5.0, 119.0]))
    share = np.zeros((2, 4))
    np.add.at(share, (np.arange(2)[:, None], index), weight)
    assert share == pytest.approx(np.array([[1, 0, 0, 0], [0, 0, 0, 1.0]]))


def test_order_of_the_psfs_does_not_matter(psf):
    data = np.array([c.sampled(OVERSAMPLE, SIZE) for c in psf.corners])
    positions = np.array([(x, y) for y in psf.y_grid for x in psf.x_grid])
    order = [2, 0, 3, 1]
    one = PsfField.from_grid(data, positions, OVERSAMPLE)
    other = PsfField.from_grid(data[order], positions[order], OVERSAMPLE)
    star = (np.array([33.0]), np.array([44.0]))
    stamps = [field.stamps((0, 0), *star, 5)[0] for field in (one, other)]
    assert np.array_equal(*stamps)


def test_norm_is_that_of_the_arrays():
    array = default_psf("F150W").sampled(OVERSAMPLE, SIZE) * OVERSAMPLE**2 * 0.9
    field = PsfField.from_grid(array[None], np.zeros((1, 2)), OVERSAMPLE)
    image = field.render(
        (91, 91), (0, 0), *np.full((2, 1), 45.0), np.array([100.0]), np.array([45])
    )
    assert image.sum() == pytest.approx(90.0, rel=1e-4)


def test_derivatives_are_those_of_the_star(psf):
    field, step = psf.field(), 1e-4
    x, y = np.array([70.3]), np.array([50.8])
    stamps, ix, iy = field.stamps((10, 20), x, y, 6)
    assert (ix[0], iy[0]) == (60, 31)
    for axis, (dx, dy) in enumerate(((step, 0.0), (0.0, step))):
        moved = [
            field.stamps((10, 20), x + s * dx, y + s * dy, 6, (ix, iy))[0][0, 0] for s in (1, -1)
        ]
        numeric = (moved[0] - moved[1]) / (2 * step)
        # the numeric one holds the slow change of the PSF as well
        assert stamps[0, 1 + axis] == pytest.approx(numeric, abs=2e-3)


def test_single_psf():
    psf = EffectivePSF.from_array(default_psf("F150W").sampled(OVERSAMPLE, SIZE), OVERSAMPLE)
    field = PsfField.single(psf)
    index, weight = field.weights(np.array([5.0, 900.0]), np.array([7.0, -3.0]))
    assert (index == 0).all()
    assert weight.sum(axis=1).tolist() == [1.0, 1.0]
    assert field.mean.fwhm == pytest.approx(psf.fwhm)


@pytest.mark.parametrize(
    ("data", "positions", "message"),
    [
        (np.ones((4, 5)), np.zeros((4, 2)), r"PSFs of shape \(n, ny, nx\).*got \(4, 5\) and"),
        (np.ones((3, 5, 5)), [(0, 0), (1, 0), (0, 1)], "2 columns and 2 rows, got 3 PSFs"),
        (np.ones((4, 5, 5)), [(0, 0), (1, 0), (0, 1), (0, 1)], "2 columns and 2 rows, got 4 PSFs"),
    ],
)
def test_what_is_no_grid(data, positions, message):
    with pytest.raises(InputError, match=message):
        PsfField.from_grid(data, positions, 4)
