"""TweakReg beside the step of jwst from which it has its parameters, on the same exposures.

    python benchmarks/tweak_reg_jwst.py

Both get the same image models with the gwcs of an exposure (detector, v2v3, world), the same
star finder (dao) and the same parameters. The error is that of each corrected WCS against the
true one, rms over the frames of all exposures but the reference, in milliarcseconds. "told" is
what the step says of itself, in `meta.cal_step.tweakreg` of the models. Needs jwst.
"""

import logging
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.steps import TweakReg
from galstep.testing.gwcs_models import exposure_gwcs
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import tan_wcs

SIDE = 512
SHAPE = (SIDE, SIDE)
SCALE = 0.031
CENTRE = (150.1, 2.2)
FINDER = dict(starfinder="dao", sharplo=0.2, sharphi=1.0, roundlo=-1.0, roundhi=1.0)
# separations that jwst's step takes: more than the root of two times the tolerance
MATCH = dict(separation=0.5, tolerance=0.3, searchrad=1.0, minobj=15,
             abs_separation=0.5, abs_tolerance=0.3, abs_searchrad=1.0)  # fmt: skip


@dataclass
class Case:
    """Exposures, their true WCS, and what is asked of the steps."""

    name: str
    models: list
    true: list
    options: dict = field(default_factory=dict)
    can_be_aligned: bool = True
    reference: int = 1


class Sky:
    """Stars over a field, and exposures of it."""

    def __init__(self, seed, count=400, width=1.0):
        self.rng = np.random.default_rng(seed)
        side = 3 * SIDE * SCALE / 3600
        self.ra = CENTRE[0] + self.rng.uniform(-0.5, 0.5, count) * side * width
        self.dec = CENTRE[1] + self.rng.uniform(-0.5, 0.5, count) * side
        self.flux = 10 ** self.rng.uniform(2.5, 4.5, count)

    def exposure(self, name, shift=(0, 0), rotation=0.0, at=(0, 0), noise=1.0, fwhm=2.3,
                 stars=None, **meta):  # fmt: skip
        """A model whose WCS is off by shift (px) and rotation (degrees); the true WCS."""
        centre = CENTRE[0] + at[0] * SCALE / 3600, CENTRE[1] + at[1] * SCALE / 3600
        true = tan_wcs(SHAPE, SCALE, centre, rotation, shift)
        x, y = true.all_world2pix(self.ra, self.dec, 0)
        near = (x > -20) & (y > -20) & (x < SIDE + 20) & (y < SIDE + 20)
        near[np.flatnonzero(near)[stars:] if stars is not None else []] = False
        psf = GaussianMixturePSF.gaussian(fwhm / 2.3548)
        renderer = StarRenderer(EffectivePSF.from_array(psf.sampled(4, 4 * 41 + 1), 4))
        data = renderer.render(SHAPE, x[near], y[near], self.flux[near])
        data = data + self.rng.normal(0, noise, SHAPE) if noise else data
        return image_model(data, tan_wcs(SHAPE, SCALE, centre), name, **meta), true

    def catalogue(self, path):
        """The stars' places in a file."""
        Table({"RA": self.ra, "DEC": self.dec}).write(path, overwrite=True)
        return str(path)


def image_model(data, wcs, name, group=None):
    """jwst's model of an exposure."""
    from stdatamodels.jwst.datamodels import ImageModel

    model = ImageModel(data.shape)
    model.data = data.astype("f4")
    model.dq = model.get_default("dq")
    model.meta.wcs, info = exposure_gwcs(wcs, data.shape)
    for key, value in {**info, "v3yangle": 0.0, "vparity": -1, "ra_ref": float(wcs.wcs.crval[0]),
                       "dec_ref": float(wcs.wcs.crval[1])}.items():  # fmt: skip
        setattr(model.meta.wcsinfo, key, value)
    model.meta.observation.date = "2026-01-01T00:00:00.0"
    model.meta.filename = f"{name}_cal.fits"
    model.meta.group_id = group or name
    return model


def cases(folder):
    """All that is tried."""
    dithers = ((3.0, -2.0, 0.0), (-6.5, 4.2, 0.1), (12.0, 9.0, -0.3), (0.3, 0.2, 0.02))
    for seed, (x, y, angle) in enumerate(dithers):
        sky = Sky(seed)
        pair = [sky.exposure("a"), sky.exposure("b", (x, y), angle, noise=2.0, fwhm=2.8)]
        yield Case(f"pair: {x}, {y} px, {angle} deg", *split(pair))
    sky = Sky(10)
    many = [sky.exposure(f"{i}", (2.0 * i, -i), 0.03 * i, (30 * i, 20 * i)) for i in range(4)]
    yield Case("four dithers", *split(many))
    sky = Sky(11)
    chips = [
        sky.exposure(f"{group}{i}", shift, at=(0, 540 * i), group=group)
        for group, shift in (("a", (0, 0)), ("b", (7.0, -5.0)))
        for i in (0, 1)
    ]
    yield Case("two exposures of two chips", *split(chips), reference=2)
    sky = Sky(12)
    chips = [
        sky.exposure(f"{group}{i}", shift, at=(0, 540 * i), group=group, stars=stars if i else None)
        for group, shift, stars in (("a", (0, 0), None), ("b", (7.0, -5.0), 3))
        for i in (0, 1)
    ]
    yield Case("the same, one chip with 3 stars", *split(chips), reference=2)
    sky = Sky(13)
    catalogue = sky.catalogue(folder / "sky.ecsv")
    pair = [sky.exposure("a", (8.0, 6.0), 0.1), sky.exposure("b", (-5.0, 3.0), -0.05)]
    yield Case("absolute", *split(pair), {"abs_refcat": catalogue}, reference=0)
    pair = [
        sky.exposure("a", (8.0, 6.0), at=(-300, 0)),
        sky.exposure("b", (-5.0, 3.0), at=(300, 0)),
    ]
    yield Case("absolute, no mutual overlap", *split(pair), {"abs_refcat": catalogue}, reference=0)
    sky = Sky(14)
    pair = [sky.exposure("a", noise=0), sky.exposure("b", (3.0, -2.0), noise=0)]
    yield Case("noiseless", *split(pair))
    sky = Sky(15)
    pair = [sky.exposure("a"), sky.exposure("b", (3.0, -2.0))]
    yield Case("tolerance = separation", *split(pair), {"tolerance": 0.5})
    # the pointing of these is off as well, so that "COMPLETE" is wrong
    pair = [Sky(16).exposure("a"), Sky(17).exposure("b", (9.0, 4.0))]
    yield Case("unrelated fields", *split(pair), can_be_aligned=False)
    pair = [Sky(18, 4000).exposure("a"), Sky(19, 4000).exposure("b", (9.0, 4.0))]
    yield Case("unrelated, crowded", *split(pair), {"brightest": 1000}, can_be_aligned=False)
    sky = Sky(20)
    pair = [sky.exposure("a"), sky.exposure("b", (60.0, 0.0))]
    yield Case("60 px off, searchrad 32 px", *split(pair), can_be_aligned=False)
    sky = Sky(21)
    trio = [sky.exposure("a"), sky.exposure("b", (3.0, 1.0)), Sky(22).exposure("c", (-8.0, 5.0))]
    yield Case("three, one of another field", *split(trio), can_be_aligned=False)
    sky = Sky(23)
    pair = [sky.exposure("a"), sky.exposure("b", (9.0, 4.0), stars=0)]
    yield Case("second without stars", *split(pair), can_be_aligned=False)


def split(pairs):
    """The models and the true WCS."""
    return [model for model, _ in pairs], [true for _, true in pairs]


def error(wcs, true):
    """rms over the frame, milliarcseconds."""
    grid = np.linspace(0, SIDE - 1, 7)
    x, y = (v.ravel() for v in np.meshgrid(grid, grid))
    got = true.all_world2pix(*wcs(x, y, with_bounding_box=False), 0)
    return np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2)) * SCALE * 1e3


def by_galstep(case):
    """Corrected WCS, status of each model, seconds."""
    step = TweakReg(**{**FINDER, **MATCH, **case.options})
    started = time.perf_counter()
    result = step.run(case.models)
    seconds = time.perf_counter() - started
    status = [image.meta.cal_step.tweakreg for image in result]
    return [image.wcs for image in result], status, seconds


def by_jwst(case):
    """The same."""
    from jwst.datamodels import ModelContainer
    from jwst.tweakreg import TweakRegStep

    step = TweakRegStep(**{**FINDER, **MATCH, **case.options})
    started = time.perf_counter()
    result = step.run(ModelContainer([model.copy() for model in case.models]))
    seconds = time.perf_counter() - started
    found, status = [], []
    with result:
        for model in result:
            found.append(model.meta.wcs)
            status.append(model.meta.cal_step.tweakreg)
            result.shelve(model, modify=False)
    return found, status, seconds


def words(case, run):
    """Error, what is told, seconds; whether what is told is true."""
    try:
        found, status, seconds = run(case)
    except Exception as failure:  # a crash is an outcome
        return f"{'-':>9s}  {type(failure).__name__}", False
    errors = [error(wcs, true) for wcs, true in zip(found, case.true, strict=True)]
    worst = max(errors[case.reference :])
    told = "COMPLETE" if all(s == "COMPLETE" for s in status) else "FAILED"
    # a frame that is off by more than a tenth of a pixel is not aligned
    is_true = (told == "COMPLETE") == (worst < 0.1 * SCALE * 1e3)
    return f"{worst:9.2f}  {told:8s} {'' if is_true else '(!)':3s} {seconds:5.1f}", is_true


def main():
    """Print the table."""
    import importlib.util
    import sys
    import tempfile
    from pathlib import Path

    if importlib.util.find_spec("jwst") is None:
        print("skipped: jwst is not installed (pip install jwst)")
        sys.exit(0)
    logging.disable(logging.ERROR)
    counts, right, tried = {"galstep": 0, "jwst": 0}, {"galstep": 0, "jwst": 0}, 0
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'':34s}  galstep: worst error (mas), told, s   jwst")
        for case in cases(Path(folder)):
            cells, tried = [], tried + 1
            for name, run in (("galstep", by_galstep), ("jwst", by_jwst)):
                cell, is_true = words(case, run)
                counts[name] += is_true
                right[name] += is_true and (not case.can_be_aligned or "COMPLETE" in cell)
                cells.append(cell)
            print(f"{case.name:34s}  {cells[0]:36s}  {cells[1]}", flush=True)
    for name, count in counts.items():
        print(
            f"{name}: told the truth in {count} of {tried}, did what can be done in {right[name]}"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
