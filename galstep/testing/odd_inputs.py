"""Input that nobody would choose: odd shapes, holes, scales, types, PSFs.

`OddGalaxy` describes such input with a value from `CHOICES` for each property,
so that a run that goes wrong can be told in one line and made again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

    from galstep.hints import PathLike

__all__ = ["CHOICES", "OddGalaxy", "random_odd_galaxy"]

_SIDES = (1, 12, *(16, 17, 20, 25, 31, 40, 55) * 3)


def _mostly(usual, *rare):
    """The usual values so often that about nine of ten draws give one of them."""
    return usual * -(-9 * len(rare) // len(usual)) + rare


#: Property to the values it may have; what stands there often is drawn often.
CHOICES = {
    "ny": _SIDES,
    "nx": _SIDES,
    "n_filters": (1, 2),
    "content": _mostly(
        ("galaxy", "stars", "noise", "negative", "ramp", "spike", "integers"), "constant", "zero"
    ),
    "holes": _mostly(
        ("none", "none", "none", "centre", "edge", "rows", "checker", "random", "infinite",
         "second filter"),
        "all", "all but one",
    ),
    "exponent": (-12, -6, -3, 0, 0, 3, 6, 12),
    "dtype": _mostly(("<f8", ">f8", "<f4", ">f4"), "<f2", "<i4", ">i2", "|u1"),
    "error": _mostly(("none", "good", "huge"), "zero", "negative", "nan"),
    "psf": _mostly(
        ("good", "even", "oblong"), "one pixel", "off centre", "negative", "nan", "zero", "flat"
    ),
    "oversample": _mostly((4, 2, 1), 0, -1, 2.5),
    "unit": _mostly(("MJy/sr", "Jy", "electron / s"), "", "nonsense"),
}  # fmt: skip


@dataclass(frozen=True)
class OddGalaxy:
    """One input; the properties are those in `CHOICES`."""

    ny: int = 31
    nx: int = 31
    n_filters: int = 1
    content: str = "galaxy"
    holes: str = "none"
    exponent: int = 0
    dtype: str = "<f8"
    error: str = "none"
    psf: str = "good"
    oversample: float = 4
    unit: str = "MJy/sr"
    seed: int = 0

    def __str__(self) -> str:
        default = OddGalaxy()
        changed = {k: v for k, v in asdict(self).items() if v != getattr(default, k)}
        return f"OddGalaxy({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the filters."""
        return ("F150W", "F277W")[: self.n_filters]

    def write(self, folder: PathLike) -> tuple[Path, Path]:
        """Write ``odd.h5`` and ``odd_psf.h5``.

        Parameters
        ----------
        folder : path-like
            Must exist.

        Returns
        -------
        (Path, Path)
        """
        images, psfs = Path(folder) / "odd.h5", Path(folder) / "odd_psf.h5"
        rng = np.random.default_rng(self.seed)
        with h5py.File(images, "w", track_order=True) as file:
            for number, name in enumerate(self.filters):
                file[name] = self._image(rng, number)
                file[name].attrs["unit"] = self.unit
            if self.error != "none":
                for name in self.filters:
                    file[f"error/{name}"] = self._error()
        with h5py.File(psfs, "w", track_order=True) as file:
            file.attrs["oversample"] = self.oversample
            for name in self.filters:
                file[name] = self._psf()
        return images, psfs

    def _image(self, rng, number):
        with np.errstate(all="ignore"):
            image = self._content(rng) * 10.0**self.exponent
            image[self._hole(rng, number)] = np.inf if self.holes == "infinite" else np.nan
            # what is no number in an integer is what the machine makes of it
            return image.astype(self.dtype)

    def _content(self, rng):
        y, x = np.indices((self.ny, self.nx), dtype=float)
        x0, y0 = (self.nx - 1) / 2, (self.ny - 1) / 2
        size = max(self.nx, self.ny) / 8 + 0.5
        noise = rng.normal(size=(self.ny, self.nx))
        galaxy = 100 * np.exp(-np.hypot(x - x0, (y - y0) / 0.7) / size)
        if self.content == "galaxy":
            return galaxy + noise
        if self.content == "stars":
            stars = np.zeros_like(noise)
            places = rng.integers(0, noise.size, 1 + noise.size // 80)
            stars.flat[places] = rng.uniform(50, 500, places.size)
            return galaxy + stars + noise
        if self.content == "spike":
            image = galaxy + noise
            image.flat[rng.integers(image.size)] = 1e20
            return image
        return {
            "noise": noise,
            "constant": np.full_like(noise, 3.0),
            "zero": np.zeros_like(noise),
            "negative": -galaxy - noise,
            "ramp": x + 2 * y,
            "integers": np.round(galaxy + noise),
        }[self.content]

    def _hole(self, rng, number):
        y, x = np.indices((self.ny, self.nx))
        centre = np.hypot(x - self.nx / 2, y - self.ny / 2)
        if self.holes == "all but one":
            hole = np.ones((self.ny, self.nx), bool)
            hole.flat[rng.integers(hole.size)] = False
            return hole
        return {
            "none": np.zeros((self.ny, self.nx), bool),
            "all": np.ones((self.ny, self.nx), bool),
            "centre": centre < 3,
            "edge": x > 0.6 * self.nx,
            "rows": y % 3 == 0,
            "checker": (x + y) % 2 == 0,
            "random": rng.random((self.ny, self.nx)) < 0.4,
            "infinite": rng.random((self.ny, self.nx)) < 0.05,
            "second filter": np.full((self.ny, self.nx), number == 1),
        }[self.holes]

    def _error(self):
        value = {"good": 1.0, "zero": 0.0, "negative": -1.0, "nan": np.nan, "huge": 1e30}
        return np.full((self.ny, self.nx), value[self.error] * 10.0**self.exponent)

    def _psf(self):
        ny, nx = {"even": (20, 20), "one pixel": (1, 1), "oblong": (15, 31)}.get(self.psf, (25, 25))
        y, x = np.indices((ny, nx), dtype=float)
        shift = 6 if self.psf == "off centre" else 0
        psf = np.exp(-((x - (nx - 1) / 2 - shift) ** 2 + (y - (ny - 1) / 2) ** 2) / 18)
        if self.psf == "nan":
            psf[3, 3] = np.nan
        return psf * {"negative": -1.0, "zero": 0.0}.get(self.psf, 1.0) + (self.psf == "flat")


def random_odd_galaxy(rng: Generator) -> OddGalaxy:
    """Draw one.

    Parameters
    ----------
    rng : `numpy.random.Generator`

    Returns
    -------
    OddGalaxy
    """
    drawn = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    return OddGalaxy(**drawn, seed=int(rng.integers(1000)))
