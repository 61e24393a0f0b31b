"""PSFEx files, written here as its manual says, beside the PSFs put into them."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from galstep.datamodels.psf.psf_fits import fits_psfs
from galstep.datamodels.psf.psf_input import find_psfs, psf_at
from galstep.datamodels.psf.psfex import psfex_model
from galstep.exceptions import InputError
from galstep.steps import StarPhot

ZERO, SCALE = (150.5, 100.5), (290.0, 190.0)
# of the powers 1, u, u^2, v, uv, v^2: how the variances along x and y (pixels^2) change
SHAPES = {(0, 0): (3.2, 3.6), (1, 0): (0.5, -0.3), (0, 1): (-0.2, 0.4)}
QUADRATIC = SHAPES | {(2, 0): (0.3, 0.2), (1, 1): (0.2, -0.2), (0, 2): (-0.3, 0.2)}


def gaussian(dx, dy, var_x, var_y):
    return np.exp(-0.5 * (dx**2 / var_x + dy**2 / var_y)) / (2 * np.pi * np.sqrt(var_x * var_y))


def components(shapes, dx, dy):
    """A Gaussian whose variances change: the first derivative times the change."""
    (var_x, var_y), made = shapes[0, 0], []
    degree = max(j + k for j, k in shapes)
    middle = gaussian(dx, dy, var_x, var_y)
    by_x = 0.5 * middle * (dx**2 / var_x - 1) / var_x
    by_y = 0.5 * middle * (dy**2 / var_y - 1) / var_y
    for k in range(degree + 1):
        for j in range(degree + 1 - k):
            a, b = shapes.get((j, k), (0, 0))
            made.append(middle if (j, k) == (0, 0) else a * by_x + b * by_y)
    return np.array(made)


def truth(x, y, dx, dy, shapes=QUADRATIC):
    """Light per pixel of a star at (x, y), 0-based, at points dx, dy from it."""
    u, v = (x + 1 - ZERO[0]) / SCALE[0], (y + 1 - ZERO[1]) / SCALE[1]
    degree = max(j + k for j, k in shapes)
    powers = [u**j * v**k for k in range(degree + 1) for j in range(degree + 1 - k)]
    return np.tensordot(powers, components(shapes, dx, dy), axes=1)


def write(path, shapes=QUADRATIC, step=0.6, size=45, **changes):
    """A .psf file as PSFEx writes it."""
    dy, dx = step * (np.indices((size, size)) - size // 2)
    cube = components(shapes, dx, dy) * step**2
    column = fits.Column(
        "PSF_MASK", f"{cube.size}E", dim=str(cube.shape[::-1]), array=[cube.astype("f4")]
    )
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    degree = max(j + k for j, k in shapes)
    keywords = {
        "LOADED": 120, "ACCEPTED": 100, "CHI2": 1.0, "POLNAXIS": 2 if degree else 0,
        "POLGRP1": 1, "POLNAME1": "X_IMAGE", "POLZERO1": ZERO[0], "POLSCAL1": SCALE[0],
        "POLGRP2": 1, "POLNAME2": "Y_IMAGE", "POLZERO2": ZERO[1], "POLSCAL2": SCALE[1],
        "POLNGRP": 1, "POLDEG1": degree, "PSF_FWHM": 4.4, "PSF_SAMP": step, "PSFNAXIS": 3,
        "PSFAXIS1": size, "PSFAXIS2": size, "PSFAXIS3": len(cube),
    } | changes  # fmt: skip
    for key, value in keywords.items():
        if value is not None:
            table.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


@pytest.mark.parametrize(("step", "size"), [(0.6, 45), (1.0, 33), (0.42, 64), (0.5, 41)])
@pytest.mark.parametrize("place", [(40.0, 30.0), (150.0, 100.0), (260.3, 170.8)])
def test_the_psf_at_a_place_is_the_polynomial_there(tmp_path, step, size, place):
    (source,) = fits_psfs(write(tmp_path / "field_F150W.psf", step=step, size=size))
    assert source.name == "F150W"
    array, oversample = psf_at(source, *place, side=0.1)
    dy, dx = (np.indices(array.shape) - (np.array(array.shape)[:, None, None] - 1) / 2) / oversample
    expected = truth(*place, dx, dy)
    assert array / array.sum() == pytest.approx(expected / expected.sum(), abs=2e-3 * array.max())


@pytest.mark.parametrize("shapes", [{(0, 0): (3.0, 3.0)}, SHAPES, QUADRATIC])
def test_the_grid_for_a_field(tmp_path, shapes):
    (source,) = fits_psfs(write(tmp_path / "a.psf", shapes))
    model = source.model
    assert len(model.data) == len(model.grid_xypos)
    np.testing.assert_allclose(model.data.sum(axis=(1, 2)), model.oversampling[0] ** 2)
    if len(model.data) > 1:
        low, high = np.min(model.grid_xypos, axis=0), np.max(model.grid_xypos, axis=0)
        np.testing.assert_allclose((low + high) / 2 + 1, ZERO)
        np.testing.assert_allclose(high - low, SCALE)
    # beyond the stars that PSFEx had the polynomial is not followed
    np.testing.assert_allclose(model.at(-1e6, 50.0), model.at(ZERO[0] - 1 - SCALE[0] / 2, 50.0))


def test_stars_of_a_varying_psf_are_measured(tmp_path):
    path = write(tmp_path / "chip.psf")
    rng = np.random.default_rng(4)
    y, x = np.indices((200, 300))
    places = [(20 + 52 * i + rng.uniform(-5, 5), 20 + 40 * j + rng.uniform(-5, 5))
              for i in range(6) for j in range(5)]  # fmt: skip
    flux = rng.uniform(2000, 20000, len(places))
    image = sum(f * truth(a, b, x - a, y - b) for f, (a, b) in zip(flux, places, strict=True))
    data = CCDData(
        image + rng.normal(0, 1.0, image.shape), unit="Jy",
        uncertainty=StdDevUncertainty(np.ones(image.shape)),
    )  # fmt: skip
    found = StarPhot(background="none", psf_file=str(path)).run(data).catalog
    nearest = [
        np.hypot(found["x_fit"].value - a, found["y_fit"].value - b).argmin() for a, b in places
    ]
    assert len(found) == len(set(nearest)) == len(places)
    ratio = np.array([found["flux_fit"].value[i] for i in nearest]) / flux
    assert ratio == pytest.approx(np.ones(len(places)), abs=0.01)


def test_all_in_columns(tmp_path):
    """As pipelines that gather PSFEx files into tables write them, in small letters."""
    path = write(tmp_path / "a.psf")
    with fits.open(path) as hdus:
        header, mask = hdus[1].header, hdus[1].data["PSF_MASK"].copy()
    keywords = [k for k in header if k.startswith("POL") or k == "PSF_SAMP"]
    columns = [
        fits.Column(k.lower(), "10A" if isinstance(header[k], str) else "D", array=[header[k]])
        for k in keywords
    ]
    columns.append(fits.Column("psf_mask", f"{mask.size}E", dim=str(mask.shape[:0:-1]), array=mask))
    gathered = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)])
    found, expected = psfex_model(gathered, "b"), fits_psfs(path)[0].model
    np.testing.assert_allclose(found.at(60, 70), expected.at(60, 70), atol=1e-6)


def test_a_folder_and_a_mapping(tmp_path):
    for name in ("F090W", "F150W"):
        write(tmp_path / f"x_{name}.psf")
    for psfs in (tmp_path, {n: tmp_path / f"x_{n}.psf" for n in ("F090W", "F150W")}):
        assert set(find_psfs(psfs, ["F090W", "F150W"])) == {"F090W", "F150W"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"POLNAME1": "MAG_AUTO"}, "must depend on the place alone"),
        ({"POLNAME1": "Y_IMAGE", "POLNAME2": "X_IMAGE"}, "X_IMAGE must come before Y_IMAGE"),
        ({"POLDEG1": 3}, "a polynomial of degree 3 needs 10 components, got 6"),
        ({"POLDEG1": 10**9}, "POLDEG1 must be 0 to 8"),
        ({"POLSCAL1": 0.0}, "POLSCAL positive"),
        ({"PSF_SAMP": 1e-9}, "PSF_SAMP must lie in"),
        ({"PSF_SAMP": None}, "keyword PSF_SAMP of PSFEx is missing"),
        ({"PSF_SAMP": "wide"}, "no PSF model of PSFEx"),
        ({"POLNGRP": 2}, "both axes must be in one group"),
        ({"POLNAXIS": 3, "POLNAME3": "MAG"}, "must depend on the place alone"),
    ],
)
def test_what_makes_no_psf(tmp_path, changes, message):
    path = write(tmp_path / "bad.psf", **changes)
    with pytest.raises(InputError, match=message) as told:
        fits_psfs(path)
    assert str(told.value).startswith(f"psf_file {path}")


def test_several_chips(tmp_path):
    with fits.open(write(tmp_path / "a.psf")) as hdus:
        two = fits.HDUList([hdus[0], hdus[1], hdus[1].copy()])
        with pytest.raises(InputError, match=r"one PSFEx model is needed \(one chip\), it has 2"):
            psfex_model(two, "psf")
