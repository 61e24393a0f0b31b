"""What the tests of all fit steps ask: is it true, is it the same, is it untouched."""

from dataclasses import fields, is_dataclass
from math import pi

import numpy as np
import pytest
from scipy.spatial import cKDTree

from galstep.flags import BandFlag

SHAPE = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


def galaxy(model, name):
    """The fitted galaxy in a filter."""
    return model.bands[name].fit.sersic[0]


def check_flux(model, scene, name, sigmas=4.0, relative=0.04):
    """The galaxy's flux is true, within its error and within a few per cent."""
    own, truth = galaxy(model, name), scene.truth.fluxes[name]
    assert 0 < own.flux_err < relative * own.flux
    assert own.flux == pytest.approx(truth, abs=sigmas * own.flux_err)
    assert own.flux == pytest.approx(truth, rel=relative)


def check_shape(model, scene, name, sigmas=4.0):
    """Every parameter of the shape is true within its error, which is not large."""
    own, truth = galaxy(model, name), scene.truth.sersic.moved(*scene.truth.offsets[name])
    for key in SHAPE:
        value, error = getattr(own.params, key), getattr(own, f"{key}_err")
        assert value == pytest.approx(getattr(truth, key), abs=sigmas * error), key
        assert 0 < error < 0.05 * max(1.0, getattr(truth, key)), key


def check_stars(model, scene, name, sigmas=4.5):
    """Every measured star is a star, with its flux; returns the number of them."""
    table, (dx, dy) = scene.truth.stars, scene.truth.offsets[name]
    stars = model.bands[name].fit.stars
    places = np.column_stack([table["x"] + dx, table["y"] + dy])
    distance, nearest = cKDTree(places).query(np.column_stack([stars.x, stars.y]))
    assert distance.max() < 0.5
    assert len(set(nearest)) == len(stars)
    pull = (stars.flux - table[f"flux_{name}"][nearest]) / stars.flux_err
    assert np.abs(pull).max() < sigmas
    return len(stars)


def check_images(band):
    """Data = galaxy + stars + sky + a residual that is noise."""
    model = band.galaxy + band.stars + band.sky
    np.testing.assert_allclose(band.residual, band.data - model, atol=1e-12)
    assert np.mean((band.residual / band.err) ** 2) == pytest.approx(1.0, abs=0.06)
    assert band.fit.chi2_reduced == pytest.approx(1.0, abs=0.06)


def assert_same_fits(model, other, flux=1e-10, error=1e-10):
    """Both have the same filters fitted with the same results (relative)."""
    assert set(model.bands) == set(other.bands)
    for name, band in model.bands.items():
        twin = other.bands[name]
        assert band.fitted == twin.fitted, name
        if not band.fitted:
            continue
        one, two = galaxy(model, name), galaxy(other, name)
        assert two.flux == pytest.approx(one.flux, rel=flux)
        assert two.flux_err == pytest.approx(one.flux_err, rel=error)
        np.testing.assert_allclose(two.params.to_vector(), one.params.to_vector(), rtol=flux)
        assert len(twin.fit.stars) == len(band.fit.stars)
        np.testing.assert_allclose(twin.fit.stars.flux, band.fit.stars.flux, rtol=10 * flux)
        np.testing.assert_allclose(twin.fit.stars.x, band.fit.stars.x, rtol=flux)


def multiplied(model, factor):
    """The same sky in other units."""
    result = model.copy()
    for band in result.bands.values():
        band.data = band.data * factor
        band.err = band.err * factor
    return result


def check_linear(model, other, factor):
    """The fluxes of ``other`` are those of ``model`` times the factor, shapes the same."""
    for name, band in model.bands.items():
        if not band.fitted:
            continue
        one, two = galaxy(model, name), galaxy(other, name)
        assert two.flux == pytest.approx(factor * one.flux, rel=1e-9)
        assert two.flux_err == pytest.approx(factor * one.flux_err, rel=1e-9)
        np.testing.assert_allclose(two.params.to_vector(), one.params.to_vector(), rtol=1e-9)
        stars, others = band.fit.stars, other.bands[name].fit.stars
        np.testing.assert_allclose(others.flux, factor * stars.flux, rtol=1e-8)
        np.testing.assert_allclose(others.flux_err, factor * stars.flux_err, rtol=1e-8)
        assert other.bands[name].fit.chi2_reduced == pytest.approx(band.fit.chi2_reduced)


def turned(model):
    """The sky seen with the detector turned by 90 degrees: (x, y) -> (y, nx - 1 - x)."""
    result = model.copy()
    for band in result.bands.values():
        for key in ("data", "err", "mask", "psf"):
            setattr(band, key, np.rot90(getattr(band, key)).copy())
    return result


def check_turned(model, other, flux=1e-6):
    """What `turned` does to the answer: centre and angle turn, the rest stays."""
    for name, band in model.bands.items():
        if not band.fitted:
            continue
        one, two = galaxy(model, name), galaxy(other, name)
        assert two.flux == pytest.approx(one.flux, rel=flux)
        # the quoted errors rest on draws of noise, which do not turn along
        assert two.flux_err == pytest.approx(one.flux_err, rel=0.15)
        assert two.params.x_0 == pytest.approx(one.params.y_0, abs=1e-4)
        assert two.params.y_0 == pytest.approx(band.shape[1] - 1 - one.params.x_0, abs=1e-4)
        turn = (two.params.theta - one.params.theta) % pi
        assert turn == pytest.approx(pi / 2, abs=1e-5)
        for key in ("r_eff", "n", "ellip"):
            assert getattr(two.params, key) == pytest.approx(getattr(one.params, key), rel=1e-5)
        own, theirs = band.fit.stars, other.bands[name].fit.stars
        places = np.column_stack([own.y, band.shape[1] - 1 - own.x])
        distance, nearest = cKDTree(places).query(np.column_stack([theirs.x, theirs.y]))
        assert len(own) == len(theirs) == len(set(nearest))
        assert distance.max() < 1e-3
        np.testing.assert_allclose(theirs.flux, own.flux[nearest], rtol=1e-4)


def without_data(model, name):
    """The same with no usable pixel in a filter, flagged as LoadCrop does."""
    result = model.copy()
    band = result.bands[name]
    band.data[:], band.mask[:] = np.nan, True
    band.flags |= int(BandFlag.NO_DATA)
    band.reasons.append("every pixel is masked or not finite")
    return result


def assert_untouched(model, before):
    """Nothing of a model has changed since it was copied."""
    assert _plain(model.meta) == _plain(before.meta)
    assert _plain(model.joint) == _plain(before.joint)
    assert list(model.bands) == list(before.bands)
    for name, band in model.bands.items():
        assert _plain(band) == _plain(before.bands[name]), name


def _plain(thing):
    """A record as something that can be compared, NaN being equal to NaN."""
    if is_dataclass(thing):
        return {f.name: _plain(getattr(thing, f.name)) for f in fields(thing)}
    if isinstance(thing, np.ndarray):
        return thing.shape, thing.dtype.str, thing.tobytes()
    if isinstance(thing, dict):
        return {key: _plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(value) for value in thing]
    return repr(thing) if isinstance(thing, float) else thing
