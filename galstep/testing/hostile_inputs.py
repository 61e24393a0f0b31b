"""Input that somebody made to do harm, or that a broken program has written.

Links to other files, texts and sizes that ask for more memory than there is, names
that lead elsewhere, units and frames that nobody uses. `HostileGalaxy` describes one
like `galstep.testing.odd_inputs.OddGalaxy` does; some must be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from galstep.testing.odd_inputs import OddGalaxy

if TYPE_CHECKING:
    from numpy.random import Generator

    from galstep.hints import PathLike

__all__ = ["HOSTILE", "HostileGalaxy", "random_hostile_galaxy"]

#: Kind to its variants.
HOSTILE = {
    "links": ("external", "broken external", "soft", "loop", "group", "virtual", "storage", "fifo"),
    "sizes": ("image", "side", "chunk", "mask", "psf", "oversample", "objects"),
    "bombs": ("aliases", "pairs", "depth", "itself", "no end", "other file"),
    "units": (
        "10**999999999 Jy", "10+99999999 Jy", "-1 Jy", "1e999 Jy", "0 Jy", "1e-320 Jy",
        "(" * 400 + "Jy" + ")" * 400, "Jy " * 9999, "nJy", "10**-7 Jy", "MJy / sr",
    ),
    "names": (
        "run#2", "a?b", "%41", "..%2F..%2Fx", "a b", "Hα", "$\\frac", "银河", "two_gal", "~",
        "$HOME", "{}", "%s", "file:x",
    ),
    "frames": ("GLON", "GLAT", "FK4", "DEC", "sip", "axes", "pv", "singular", "far", "text"),
    "scales": (1e-20, 1e-12, 1e-6, 1e-3, 1e3, 1e6),
    "psfs": ("corner", "far light", "line", "spike", "huge values", "tiny values", "infinite"),
    "pixels": (1e-300, 1e300, np.inf, np.nan, 0.0, -1.0, 1e-7),
}  # fmt: skip
_SOFT = {
    "units": ("nJy", "10**-7 Jy", "MJy / sr"),
    "names": HOSTILE["names"],
    "frames": ("GLON", "GLAT", "FK4", "DEC", "far"),
    "scales": HOSTILE["scales"],
    "psfs": ("line", "spike", "huge values", "tiny values"),
}
_HEAD = (
    "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n"
    "--- !core/asdf-1.1.0\n"
)


@dataclass(frozen=True)
class HostileGalaxy:
    """One input; kind and variant are those in `HOSTILE`."""

    kind: str
    variant: str | float
    seed: int = 0

    @property
    def must_fail(self) -> bool:
        """Whether anything but an error is a defect."""
        return self.variant not in _SOFT.get(self.kind, ())

    @property
    def name(self) -> str:
        """What the galaxy is called."""
        return str(self.variant) if self.kind == "names" else "odd"

    def write(self, folder: PathLike) -> tuple[Path, Path]:
        """Write the galaxy and its PSFs.

        Parameters
        ----------
        folder : path-like
            Must exist.

        Returns
        -------
        (Path, Path)
        """
        folder = Path(folder)
        images, psfs = OddGalaxy(ny=25, nx=25, error="good", seed=self.seed).write(folder)
        if self.kind == "names":
            return images.rename(folder / f"{self.name}.h5"), psfs
        if self.kind == "bombs":
            return self._bomb(folder), psfs
        if self.variant == "fifo":
            import os

            os.mkfifo(folder / "fifo.h5")
            return folder / "fifo.h5", psfs
        target = psfs if self.kind == "psfs" or self.variant in ("psf", "oversample") else images
        with h5py.File(target, "a") as file:
            getattr(self, f"_{self.kind}")(file, folder)
        return images, psfs

    def _links(self, file, folder):
        other = str(folder / "odd_psf.h5")
        if self.variant == "group":
            del file["error"]
            file["error"] = h5py.ExternalLink(other, "/")
        elif self.variant == "virtual":
            layout = h5py.VirtualLayout((25, 25), dtype=float)
            layout[:] = h5py.VirtualSource(other, "F150W", (25, 25))
            file.create_virtual_dataset("F277W", layout)
        elif self.variant == "storage":
            (folder / "raw").write_bytes(bytes(5000))
            pieces = [(str(folder / "raw"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("F277W", (25, 25), dtype="f8", external=pieces)
        else:
            file["F277W"] = {
                "external": h5py.ExternalLink(other, "/F150W"),
                "broken external": h5py.ExternalLink("none.h5", "/x"),
                "soft": h5py.SoftLink("/nowhere"),
                "loop": h5py.SoftLink("/F277W"),
            }[self.variant]

    def _sizes(self, file, folder):
        if self.variant == "oversample":
            file.attrs["oversample"] = 10**9
            return
        if self.variant == "objects":
            for number in range(10_001):
                file.create_group(f"g{number}")
            return
        name = {"mask": "mask/F150W"}.get(self.variant, "F150W")
        if name in file:
            del file[name]
        shape, chunks = {
            "side": ((1 << 40, 25), (100, 25)),
            "chunk": ((25, 25), (30_000, 30_000)),
        }.get(self.variant, ((200_000, 200_000), (100, 100)))
        options = {"maxshape": (None, None), "compression": "gzip"}
        file.create_dataset(name, shape, dtype="f4", chunks=chunks, **options)

    def _units(self, file, folder):
        file["F150W"].attrs["unit"] = self.variant

    def _pixels(self, file, folder):
        file["F150W"].attrs["pixel_scale"] = self.variant

    def _scales(self, file, folder):
        file["F150W"][...] *= self.variant
        file["error/F150W"][...] *= self.variant

    def _frames(self, file, folder):
        axes = {
            "GLON": ("GLON-TAN", "GLAT-TAN"),
            "GLAT": ("GLAT-TAN", "GLON-TAN"),
            "DEC": ("DEC--TAN", "RA---TAN"),
        }.get(self.variant, ("RA---TAN", "DEC--TAN"))
        keys = {"CTYPE1": f"'{axes[0]}'", "CTYPE2": f"'{axes[1]}'", "CRVAL1": 0.0, "CRVAL2": 20.0,
                "CRPIX1": 13.0, "CRPIX2": 13.0, "CDELT1": -8e-6, "CDELT2": 8e-6}  # fmt: skip
        keys |= {
            "FK4": {"RADESYS": "'FK4'", "EQUINOX": 1950.0},
            "sip": {"A_ORDER": 999999, "B_ORDER": 2},
            "axes": {"WCSAXES": 99999},
            "pv": {"PV1_99999": 1.0},
            "singular": {"CDELT1": 0.0},
            "far": {"CRPIX1": 1e5},
        }.get(self.variant, {})
        cards = "\n".join(f"{key:8}= {value!s:>20}" for key, value in keys.items())
        file["F150W"].attrs["wcs"] = "A" * 50_000 if self.variant == "text" else cards

    def _psfs(self, file, folder):
        psf = file["F150W"][...]
        y, x = np.indices(psf.shape)
        if self.variant in ("corner", "far light"):
            psf = np.roll(psf, (10, 10), (0, 1)) if self.variant == "corner" else psf * 1e-9
            psf[0, 0] += self.variant == "far light"
            file.attrs["oversample"] = 1
        else:
            psf = {
                "line": (y == 12) + 0.0,
                "spike": ((x == 12) & (y == 12)) + 0.0,
                "huge values": psf * 1e300,
                "tiny values": psf * 1e-300,
                "infinite": np.where(x == 3, np.inf, psf),
            }[self.variant]
        file["F150W"][...] = psf

    def _bomb(self, folder):
        path = folder / "odd_gal.asdf"
        bases = {"aliases": 10, "pairs": 2}
        if self.variant in bases:
            width = bases[self.variant]
            lines = [f"a0: &a0 [{','.join('x' * width)}]"]
            lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * width)}]" for i in range(1, 40)]
            text = "\n".join(lines)
        else:
            text = {
                "depth": "a: " + "[" * 99 + "]" * 99,
                "itself": "a: &a [1, *a]",
                "no end": "a: " + "x" * 70_000_000,
                "other file": "a: !core/ndarray-1.0.0 {source: b.asdf, shape: [1], datatype: int8}",
            }[self.variant]
        path.write_text(f"{_HEAD}galstep_product: 1\nbands: {{}}\n{text}\n...\n")
        return path


def random_hostile_galaxy(rng: Generator) -> HostileGalaxy:
    """Draw one.

    Parameters
    ----------
    rng : `numpy.random.Generator`

    Returns
    -------
    HostileGalaxy
    """
    kind = list(HOSTILE)[rng.integers(len(HOSTILE))]
    variants = HOSTILE[kind]
    return HostileGalaxy(kind, variants[rng.integers(len(variants))], int(rng.integers(1000)))
