"""Filters and records with known numbers, for the tests of the data models."""

import numpy as np
from astropy.wcs import WCS

from galstep.datamodels import BandData, GalaxyModel, Meta
from galstep.flags import BandFlag, StarFlag
from galstep.records import (
    Aperture,
    ApertureFlux,
    BandFit,
    ForcedStars,
    Injections,
    JointSummary,
    PsfKernel,
    SersicFit,
    SersicParams,
    SkyModel,
    StarList,
)

FILTERS = ("F150W", "F090W", "F277W")  # not in alphabetical order, as a user may ask
ORIGIN = (40, 30)
SHAPE = (24, 32)
FLUX = {"F150W": 1000.0, "F090W": 500.0}
FLUX_ERR = {"F150W": 10.0, "F090W": 8.0}


def make_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [184.74, 47.30]
    wcs.wcs.crpix = [12.5, 9.25]
    wcs.wcs.cdelt = [-0.03 / 3600, 0.03 / 3600]
    wcs.wcs.set()
    return wcs


def make_psf(size=33, oversample=4, fwhm=2.0):
    y, x = np.indices((size, size)) - (size - 1) / 2
    sigma = fwhm * oversample / 2.355
    psf = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return psf / psf.sum()


def make_fit(name):
    covariance = np.diag([0.01, 0.02, 1e-4, 1e-5, 2e-5, 4e-4, FLUX_ERR[name] ** 2])
    covariance[2, 6] = covariance[6, 2] = 0.05
    covariance[0, 1] = covariance[1, 0] = np.nan
    params = SersicParams(x_0=15.25, y_0=11.5, r_eff=5.5, n=2.5, ellip=0.3, theta=0.75)
    galaxy = SersicFit(
        params, FLUX[name], FLUX_ERR[name], 0.1, 0.14, 0.055, 0.05, 0.01, 0.02, covariance
    )
    stars = StarList(
        star_id=np.array([3, 7]),
        x=np.array([2.5, 20.125]),
        y=np.array([4.0, 10.75]),
        flux=np.array([12.5, -1.0]),
        x_err=np.array([0.02, np.nan]),
        y_err=np.array([0.03, np.nan]),
        flux_err=np.array([0.5, 0.75]),
        chi2_reduced=np.array([1.1, 0.9]),
        flags=np.array([0, int(StarFlag.NEGATIVE | StarFlag.FORCED)]),
    )
    sky = SkyModel((0.1, 0.01, -0.02), 1, 15.5, 11.5, 16.0, 0.105, 0.002)
    return BandFit(
        "jointfit",
        (galaxy,),
        sky,
        stars,
        chi2_reduced=1.02,
        noise_corr=3.5,
        noise_sigma=0.01,
        offset=(0.25, -0.125),
        offset_err=(0.01, 0.02),
        n_iterations=6,
        flags=int(BandFlag.STARS_LIMITED),
        reason="300 stars per 1000 px",
        flux=FLUX[name],
        flux_err=FLUX_ERR[name],
        matched_flux=0.4 * FLUX[name],
        matched_flux_err=0.2 * FLUX_ERR[name],
        matched_radius=5.5,
    )


def make_forced():
    """Two stars of a catalogue, the second not detected, and a position off the frame."""
    nan = np.nan
    return ForcedStars(
        name=("a1", "b2", "c3"),
        star_id=np.array([3, 7, -1]),
        x_given=np.array([2.5, 20.125, 300.0]),
        y_given=np.array([4.0, 10.75, 4.0]),
        x=np.array([2.5, 20.125, 300.0]),
        y=np.array([4.0, 10.75, 4.0]),
        flux=np.array([12.5, -1.0, nan]),
        x_err=np.full(3, nan),
        y_err=np.full(3, nan),
        flux_err=np.array([0.5, 0.75, nan]),
        flux_limit=np.array([nan, 3.75, nan]),
        chi2_reduced=np.array([1.1, 0.9, nan]),
        flags=np.array(
            [0, StarFlag.NEGATIVE | StarFlag.UPPER_LIMIT, StarFlag.OFF_FRAME | StarFlag.NO_DATA],
            dtype=int,
        ),
        n_sigma=5.0,
        mode="linear",
        source="catalog stars.csv (sky ra, dec)",
    )


def make_band(name, rng, fitted=True):
    data = rng.normal(0.1, 0.01, SHAPE)
    data[:, -3:] = np.nan
    band = BandData(
        name,
        data,
        make_psf(),
        4,
        err=np.full(SHAPE, 0.01),
        mask=np.zeros(SHAPE, bool),
        wcs=make_wcs(),
        origin=ORIGIN,
    )
    if fitted:
        band.sky, band.galaxy, band.stars = rng.normal(size=(3, *SHAPE))
        band.fit = make_fit(name)
        band.forced = make_forced()
        band.psf_kernel = PsfKernel("gaussian", (1.25,), (0.01,), 2.65, 30)
        band.aperture = ApertureFlux(
            Aperture(15.25, 11.5, 12.0, 8.4, 0.75),
            flux=0.9 * FLUX[name],
            flux_err=FLUX_ERR[name],
            psf_correction=-0.05,
            psf_correction_err=0.003,
            frac_enclosed=0.91,
            petrosian_radius=9.5,
            extra={"isophote_level": 0.25, "radii": [1.0, 2.0]},
        )
    return band


def make_injections():
    """A copy of the galaxy, and a star that was not found, in one filter."""
    nan = np.nan
    numbers = {
        name: np.array([2.5, nan])
        for name in Injections.__dataclass_fields__
        if name not in ("kind", "filter", "summary")
    }
    integers = {"number": [1, 1], "found": [1, 0], "isolated": [1, 0], "flags": [0, 0]}
    numbers |= {name: np.array(values) for name, values in integers.items()}
    numbers["flux_true"] = np.array([2.25, 1.5])
    share = {
        "snr_min": 5.0, "snr_max": np.inf, "injected": 4, "found": 3, "completeness": 0.75,
        "completeness_low": 0.5, "completeness_high": 0.9, "isolated": 3, "isolated_found": 3,
        "isolated_completeness": 1.0, "isolated_completeness_low": 0.75,
        "isolated_completeness_high": 1.0, "listed": 10, "spurious": 1, "purity": 0.9,
        "purity_low": 0.75, "purity_high": 0.95,
    }  # fmt: skip
    galaxies = {"count": 1, "flux": {"bias": 0.25, "std": 1.5}}
    summary = {"F150W": {"galaxies": galaxies, "stars": {"bins": [share]}}}
    return Injections(kind=("galaxy", "star"), filter=("F150W",) * 2, summary=summary, **numbers)


def make_model():
    """A full model: two filters measured, the third without any data."""
    rng = np.random.default_rng(20)
    bands = {name: make_band(name, rng, fitted=name in FLUX) for name in FILTERS}
    empty = BandData("F277W", np.full(SHAPE, np.nan), make_psf(), 4, origin=ORIGIN)
    empty.flags = int(BandFlag.NO_DATA)
    empty.reasons.append("every pixel is masked or not finite")
    bands["F277W"] = empty
    meta = Meta(
        "g001",
        "g001.h5",
        base_filter="F150W",
        input_shape=(255, 255),
        fit_step="jointfit",
        parameters={"basefit": {"iter_basefit": 3, "bounds": [0.5, 6.0], "name": None}},
        timings={"basefit": 1.5, "jointfit": 2.25},
        history=["loadcrop: 255 x 255 to 32 x 24 pixels"],
    )
    meta.cal_step.gal_basefit = "COMPLETE"
    covariance = np.array([[100.0, 40.0], [40.0, 64.0]])
    joint = JointSummary(("F150W", "F090W"), covariance, 1234.5, 4, 2)
    return GalaxyModel(meta, bands, joint, make_injections())
