"""Filters resampled onto one grid: light, width of the PSF, and what is told."""

import sys

import numpy as np
import pytest
from mosaics import (
    DEC,
    FLUX,
    RA,
    SIGMA,
    SKY,
    flux_of,
    make_image,
    make_mosaic_wcs,
    plain_hdu,
    psf_of,
)

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError

GRIDS = {"F150W": ((90, 100), 0.03, 0.0), "F277W": ((60, 70), 0.05, 35.0)}


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, (shape, scale, rotation) in GRIDS.items():
        wcs = make_mosaic_wcs(shape, scale, rotation)
        image = make_image(shape, wcs, scale)
        image[20, 15] = np.nan
        path = tmp_path / f"x_{name}.fits"
        plain_hdu(image, wcs, name, BUNIT="MJy/sr").writeto(path)
        paths.append(path)
    return paths


def opened(files, target, **options):
    return GalaxyModel.open(files, psf_file=psf_of(*GRIDS), reproject_to=target, **options)


class TestOnOneGrid:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("reproject", reason="the package reproject is not installed")

    @pytest.mark.parametrize("target", GRIDS)
    def test_the_same_galaxy(self, files, target):
        model = opened(files, target, ra=RA, dec=DEC, size=2.0)
        n = round(2.0 / GRIDS[target][1])
        for band in model.bands.values():
            assert band.shape == (n, n)
            assert band.pixel_scale == model.bands[target].pixel_scale
            good = np.where(band.mask, SKY, band.data) - SKY
            assert good.sum() * band.pixel_scale**2 == pytest.approx(FLUX, rel=5e-3)
            x, y = np.average(np.indices(band.shape)[::-1].reshape(2, -1), 1, good.ravel())
            assert (x, y) == pytest.approx(band.pixel_position(RA, DEC), abs=2e-2)
            width = np.sqrt(np.average((np.indices(band.shape)[1] - x) ** 2, weights=good))
            assert width * band.pixel_scale == pytest.approx(SIGMA, rel=0.01)

    def test_psf_keeps_its_width_on_the_sky(self, files):
        model = opened(files, "F150W")
        band = model.bands["F277W"]
        u = np.indices(band.psf.shape) - (np.array(band.psf.shape) - 1)[:, None, None] / 2
        sigma = np.sqrt(np.average(u[1] ** 2, weights=band.psf)) / band.oversample
        assert band.psf.sum() == pytest.approx(1)
        assert sigma * band.pixel_scale == pytest.approx(2.0 / 2.355 * 0.05, rel=0.01)

    def test_bad_pixels_take_their_neighbours_along(self, files):
        band = opened(files, "F150W").bands["F277W"]
        x, y = band.pixel_position(
            *map(float, opened(files, None).bands["F277W"].sky_position(15, 20))
        )
        assert band.mask[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].all()
        assert not band.mask[30:60, 30:70].any()

    def test_error_is_that_of_the_place(self, files):
        from astropy.io import fits

        with fits.open(files[1], mode="append") as hdus:
            hdus.append(fits.ImageHDU(np.full(GRIDS["F277W"][0], 0.07), name="ERR"))
        band = opened(files, "F150W").bands["F277W"]
        np.testing.assert_allclose(band.err[~band.mask], 0.07)
        assert flux_of(opened(files, "F277W").bands["F277W"]) == pytest.approx(FLUX, rel=1e-2)


def test_filter_that_is_not_there(files):
    with pytest.raises(InputError, match="reproject_to must be one of F150W, F277W, got 'F444W'"):
        opened(files, "F444W")


def test_no_wcs(tmp_path):
    for name in GRIDS:
        plain_hdu(np.eye(40), None, name).writeto(tmp_path / f"{name}.fits")
    with pytest.raises(InputError, match="reproject_to needs a WCS, and F150W has none"):
        opened(sorted(tmp_path.iterdir()), "F150W")


def test_package_that_is_not_installed(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "reproject", None)
    with pytest.raises(InputError, match="reproject_to needs the package reproject: pip install"):
        opened(files, "F150W")
