"""A set of structured galaxies on disk, every kind under dealt conditions, for benchmarks.

::

    data/NAME.h5            images; the group ``error`` in half of the frames
    psf/PSF_lib.h5          the library PSFs that every frame is given
    truth/galaxies.ecsv     component 0: the target; 1 and more: companions
    truth/stars.ecsv        every star
    truth/manifest.json     kind, conditions, sky, S/N and knots of each frame
    truth/NAME_galaxy.h5    noise-free light: target/FILTER, companions/FILTER
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from astropy.table import Table, vstack

from galstep.testing.galaxies import KINDS
from galstep.testing.structured import make_structured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.hints import PathLike
    from galstep.testing.structured import StructuredGalaxy

__all__ = ["deal", "write_set"]

# sigma (pixels) of the Gaussian by which the true PSF is wider where the library's is wrong
_BLUR = {"F555W": 0.9, "F814W": 0.85, "F090W": 0.7, "F150W": 0.65, "F160W": 1.5, "F277W": 1.1}
_CROWDS = {"none": 0, "sparse": 20, "medium": 100, "dense": 300}
# stars, and whether there is an error map; then what else is wrong with the frame
_CONDITIONS = (
    ("sparse", True, ""), ("sparse", False, ""), ("sparse", True, "edge"), ("medium", False, ""),
    ("medium", True, ""), ("medium", False, ""), ("medium", True, "wrong_psf"),
    ("medium", False, "correlated"), ("dense", False, ""), ("dense", True, "edge"),
    ("dense", False, "wrong_psf"), ("none", True, ""),
)  # fmt: skip


def deal(number: int, seed: int) -> list[dict]:
    """Arguments of `make_structured` for each frame of a set.

    Every kind once before any comes twice; S/N 100 to 1000 in as many strata as
    there are frames.

    Parameters
    ----------
    number : int
        Frames.
    seed : int

    Returns
    -------
    list of dict
        Also with ``tags``, a list of str, and ``errors``, bool, which are not
        arguments.
    """
    rng = np.random.default_rng([seed, 1000])
    kinds = _shuffled(rng, tuple(KINDS), number)
    conditions = _shuffled(rng, _CONDITIONS, number)
    strata = (rng.permutation(number) + rng.uniform(size=number)) / number
    frames = []
    for index, (kind, (crowd, errors, defect)) in enumerate(zip(kinds, conditions, strict=True)):
        frame = {
            "kind": kind,
            "seed": int(np.random.default_rng([seed, 2000, index]).integers(1 << 30)),
            "n_stars": _CROWDS[crowd],
            "snr": float(100 * 10 ** strata[index]),
            "tags": [kind, crowd, "sigma" if errors else "no_sigma", *[defect] * bool(defect)],
            "errors": errors,
        }
        if defect == "wrong_psf":
            frame["psf_blur"] = _BLUR
        elif defect == "correlated":
            frame["noise"] = "correlated"
        elif defect == "edge":
            frame["nan_edge"] = ("F090W", "F150W")
        frames.append(frame)
    return frames


def _shuffled(rng, items, number):
    rounds = -(-number // len(items))
    return [items[i] for _ in range(rounds) for i in rng.permutation(len(items))][:number]


def write_set(
    folder: PathLike,
    number: int,
    seed: int,
    prefix: str = "g",
    shape: tuple[int, int] = (255, 255),
    filters: Sequence[str] = tuple(_BLUR),
    report: Callable | None = None,
) -> list[str]:
    """Make a set.

    Parameters
    ----------
    folder : str or path-like
        Made if it does not exist.
    number, seed : int
        As in `deal`. The same seed gives the same set.
    prefix : str, optional
        Names are this and a number.
    shape, filters : optional
        Of every frame, as in `make_structured`. Filters without a wrong PSF of
        their own keep the right one.
    report : callable, optional
        Called with a line about each frame.

    Returns
    -------
    list of str
        The names.
    """
    folder = Path(folder)
    for part in ("data", "psf", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rows, stars, entries = [], [], {}
    for index, frame in enumerate(deal(number, seed)):
        name = f"{prefix}{index + 1:02d}"
        arguments = {key: value for key, value in frame.items() if key not in ("tags", "errors")}
        if "psf_blur" in arguments:
            arguments["psf_blur"] = {f: v for f, v in _BLUR.items() if f in filters}
        synthetic = make_structured(shape=shape, filters=filters, **arguments)
        synthetic.write_hdf5(folder / "data" / f"{name}.h5", frame["errors"])
        if not index:
            synthetic.write_psf(folder / "psf" / "PSF_lib.h5")
        _write_light(folder / "truth" / f"{name}_galaxy.h5", synthetic)
        rows += galaxy_rows(name, synthetic)
        stars.append(_star_rows(name, synthetic))
        entries[name] = _entry(synthetic, frame)
        if report:
            truth = synthetic.truth
            signal = {f: round(v["gal_snr"]) for f, v in entries[name]["info"].items()}
            report(f"{name} {' '.join(frame['tags'])} r_half {truth.r_half:.1f} S/N {signal}")
    _table(rows).write(folder / "truth" / "galaxies.ecsv", overwrite=True)
    vstack(stars).write(folder / "truth" / "stars.ecsv", overwrite=True)
    manifest = {
        "filters": list(synthetic.truth.filters),
        "base": synthetic.truth.base,
        "seed": seed,
        "galaxies": entries,
    }
    (folder / "truth" / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return list(entries)


def galaxy_rows(name: str, synthetic: StructuredGalaxy) -> list[dict]:
    """The rows of ``galaxies.ecsv``: the target, then its companions.

    ``f1_F`` and ``f2_F`` are the target's light as seen inside one and two
    half-light ellipses, ``c1_F`` and ``c2_F`` the companions', ``n1_F`` and
    ``n2_F`` the noise there if it is white.
    """
    truth, ellipse = synthetic.truth, synthetic.truth.ellipse
    part = truth.galaxy.parts[0]
    x_0, y_0 = (part.params.x_0, part.params.y_0) if hasattr(part, "params") else part.light.centre
    row = {
        "name": name, "component": 0, "kind": truth.kind, "x0": x_0, "y0": y_0,
        "q": 1 - ellipse.ellip, "theta": ellipse.theta, "x_c": ellipse.x, "y_c": ellipse.y,
        "r_half": truth.r_half,
    }  # fmt: skip
    weights = {k: ellipse.weights(k * truth.r_half, truth.shape) for k in (1, 2)}
    for f in truth.filters:
        row[f"flux_{f}"] = truth.fluxes[f]
        row[f"frame_{f}"] = float(synthetic.galaxy[f].sum())
        for k, weight in weights.items():
            row[f"f{k}_{f}"] = float(np.sum(weight * synthetic.galaxy[f]))
            row[f"c{k}_{f}"] = float(np.sum(weight * synthetic.companions[f]))
            row[f"n{k}_{f}"] = float(np.sqrt(np.nansum(weight * synthetic.err[f] ** 2)))
    rows = [row]
    for index, other in enumerate(truth.galaxy.companions):
        p = other.params
        row = {
            "name": name, "component": index + 1, "kind": "companion", "x0": p.x_0, "y0": p.y_0,
            "r_eff": p.r_eff, "n": p.n, "q": 1 - p.ellip, "theta": p.theta,
        }  # fmt: skip
        rows.append(row | {f"flux_{f}": other.fluxes[f] for f in truth.filters})
    return rows


def _table(rows):
    """A table of rows with different columns; a number that is not there is NaN."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table({key: [row.get(key, np.nan) for row in rows] for key in columns})


def _star_rows(name, synthetic):
    table = Table(synthetic.truth.stars, copy=True)
    table.rename_column("star_id", "id")
    table.add_column(np.full(len(table), name), name="name", index=0)
    return table


def _write_light(path, synthetic):
    """float32, rounded to a sixteenth of the noise where it is fainter than that: it compresses."""
    truth = synthetic.truth
    groups = {"target": synthetic.galaxy}
    if truth.galaxy.companions:
        groups["companions"] = synthetic.companions
    with h5py.File(path, "w") as file:
        for group, images in groups.items():
            for name, image in images.items():
                # a step that follows the light, so that the sum of faint wings stays
                step = np.minimum(truth.noise_sigma[name] / 16, np.abs(image) / 32 + 1e-30)
                step = 2.0 ** np.floor(np.log2(step))
                file.create_dataset(
                    f"{group}/{name}",
                    data=np.float32(np.round(image / step) * step),
                    compression="gzip",
                    shuffle=True,
                )


def _entry(synthetic, frame):
    truth = synthetic.truth
    info, sky = {}, {}
    for name in truth.filters:
        light = synthetic.galaxy[name] / synthetic.err[name]
        info[name] = {"gal_snr": float(np.sqrt(np.nansum(light**2)))}
        sky[name] = dict(zip(("c0", "cx", "cy"), truth.sky[name].coefficients, strict=True))
    x, y = truth.knots.T.tolist()
    return {
        "kind": truth.kind,
        "tags": frame["tags"],
        "given_psf": "psf/PSF_lib.h5",
        "nstars": len(truth.stars),
        "sky": sky,
        "info": info,
        "parts": [{"kind": "knots", "x": x, "y": y}] if x else [],
    }
