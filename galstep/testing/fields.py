"""Synthetic fields of stars and galaxies in several bands, with their truth.

    field = make_field(seed=1, n_stars=30, n_galaxies=12)
    field.write("data")          # images, list, catalogue, reference stars, truth
    field.truth                  # what was put in

Everything is drawn in real space (`galstep.testing.real_space`), by nothing that is fitted with.
Images are in counts with headers as survey pipelines write them; fluxes of the truth are at zero
point 25.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.table import Table

from galstep.records import SersicParams
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.real_space import SersicImage, star_image
from galstep.testing.star_frames import star_positions, tan_wcs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

    from galstep.hints import PathLike

__all__ = ["SyntheticField", "field_psf", "make_field"]

ZP_REF = 25.0
_ZERO_POINTS = (24.8, 25.0, 25.1, 25.2, 24.9)
_FWHM = (3.2, 3.5, 3.8, 3.4, 3.6)
# what the header's zero points are wrong by
_OFFSETS = (0.03, -0.02, 0.05, 0.01, -0.04)


def field_psf(fwhm: float) -> GaussianMixturePSF:
    """A PSF with shoulder and wings, a little longer along x.

    Parameters
    ----------
    fwhm : float
        Of its core, pixels.
    """
    variance = (fwhm / 2.3548) ** 2
    parts = [(0.8, 1.0), (0.16, 2.6), (0.04, 8.0)]
    covariances = tuple((1.05 * v * variance, 0.02 * v * variance, v * variance) for _, v in parts)
    return GaussianMixturePSF(tuple(w for w, _ in parts), covariances)


@dataclass(frozen=True, eq=False)
class SyntheticField:
    """A synthetic field.

    Parameters
    ----------
    bands : tuple of str
    wcs : `astropy.wcs.WCS`
    truth : `astropy.table.Table`
        ``id``, ``type``, ``x``, ``y``, ``r_eff``, ``n``, ``ellip``, ``theta`` (degrees) and
        ``flux_<band>``; the rows of ``catalog`` first, in its order.
    images : dict of str to (ny, nx) array
        Counts.
    headers : dict of str to dict
    psfs : dict of str to GaussianMixturePSF
    catalog : `astropy.table.Table`
        What a user would have: places off by some tenths of a pixel, shapes by some tens of
        percent.
    reference : `astropy.table.Table`
        Stars with magnitudes.
    zero_points : dict of str to float
        The true zero points of fluxes that were scaled by the headers.
    """

    bands: tuple
    wcs: WCS
    truth: Table
    images: dict
    headers: dict
    psfs: dict
    catalog: Table
    reference: Table
    zero_points: dict = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return next(iter(self.images.values())).shape

    def write(self, directory: PathLike, stem: str = "field") -> Path:
        """Write images, their list, catalogue, reference stars, PSFs and truth.

        Parameters
        ----------
        directory : path-like
            Made if it does not exist.
        stem : str, optional

        Returns
        -------
        `pathlib.Path`
            Of the list of images, ``<stem>.txt``; beside it are ``<stem>_<band>.fits``,
            ``<stem>_catalog.csv``, ``<stem>_reference.csv``, the folder ``<stem>_psf`` and
            ``<stem>_truth.ecsv``.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for band in self.bands:
            header = self.wcs.to_header()
            header.update(self.headers[band])
            names.append(f"{stem}_{band}.fits")
            image = fits.PrimaryHDU(self.images[band].astype("f4"), header)
            image.writeto(folder / names[-1], overwrite=True)
            psf = fits.PrimaryHDU(self.psf_array(band))
            psf.header.update(FILTER=band, OVERSAMP=2)
            (folder / f"{stem}_psf").mkdir(exist_ok=True)
            psf.writeto(folder / f"{stem}_psf" / f"psf_{band}.fits", overwrite=True)
        self.catalog.write(folder / f"{stem}_catalog.csv", format="ascii.csv", overwrite=True)
        self.reference.write(folder / f"{stem}_reference.csv", format="ascii.csv", overwrite=True)
        self.truth.write(folder / f"{stem}_truth.ecsv", format="ascii.ecsv", overwrite=True)
        path = folder / f"{stem}.txt"
        path.write_text("# one image per band\n" + "".join(f"{name}\n" for name in names))
        return path

    def psf_array(self, band: str, half: int = 30, oversample: int = 2) -> np.ndarray:
        """The true effective PSF of a band, sampled."""
        offsets = np.arange(-half * oversample, half * oversample + 1) / oversample
        array = self.psfs[band](offsets[None, :], offsets[:, None])
        return array / array.sum()


def make_field(
    seed: int = 1,
    shape: tuple[int, int] = (160, 160),
    n_stars: int = 25,
    n_galaxies: int = 8,
    bands: Sequence[str] = ("g", "r", "i"),
    separation: float = 12.0,
    star_flux: tuple[float, float] = (1500.0, 60000.0),
    galaxy_flux: tuple[float, float] = (6000.0, 40000.0),
    sky_sigma: float = 5.0,
    gain: float = 2.0,
    saturate: float = 30000.0,
    extra: Sequence[dict] = (),
    subsample: int = 5,
    pixel_scale: float = 0.5,
    position_scatter: float = 0.3,
) -> SyntheticField:
    """A field.

    Parameters
    ----------
    seed : int
        All is drawn from it.
    shape : (ny, nx), optional
    n_stars, n_galaxies : int, optional
    bands : sequence of str, optional
        At most five.
    separation : float, optional
        Least distance of two sources, pixels.
    star_flux, galaxy_flux : (float, float), optional
        Range at zero point 25 in the middle band.
    sky_sigma, gain, saturate : float, optional
        Of every image, counts.
    extra : sequence of dict, optional
        Further sources: rows of the truth (``flux`` in all bands, ``r_eff`` ... for galaxies);
        those without ``id`` are not in the catalogue.
    subsample : int, optional
        Cells per pixel in which galaxies are drawn (odd).
    pixel_scale : float, optional
        Arcsec.
    position_scatter : float, optional
        Of the catalogue, pixels.

    Returns
    -------
    SyntheticField
    """
    rng, bands = np.random.default_rng(seed), tuple(bands)
    truth = _truth(rng, shape, n_stars, n_galaxies, bands, separation, star_flux, galaxy_flux)
    in_catalog = len(truth) + sum("id" in own for own in extra)
    for own in sorted(extra, key=lambda own: "id" not in own):
        flux = {f"flux_{band}": own["flux"] for band in bands}
        blank = {"id": "", "r_eff": np.nan, "n": np.nan, "ellip": np.nan, "theta": np.nan}
        truth.add_row(blank | {k: v for k, v in own.items() if k != "flux"} | flux)
    wcs = tan_wcs(shape, pixel_scale, (150.0, 2.0))
    psfs = {band: field_psf(_FWHM[i]) for i, band in enumerate(bands)}
    images, headers = {}, {}
    light = _light(truth, shape, psfs, subsample)
    for index, band in enumerate(bands):
        zero_point = _ZERO_POINTS[index]
        counts = light[band] * 10 ** (0.4 * (zero_point - ZP_REF))
        noise = np.sqrt(sky_sigma**2 + np.maximum(counts, 0) / gain)
        images[band] = np.minimum(rng.normal(counts, noise), saturate)
        headers[band] = {
            "FILTER": band, "ZP_AUTO": zero_point, "SKYSIG": sky_sigma, "EGAIN": gain,
            "SATURATE": saturate,
        }  # fmt: skip
    catalog = _catalog(rng, truth[:in_catalog], wcs, position_scatter)
    offsets = dict(zip(bands, _OFFSETS, strict=False))
    reference = _reference(truth, wcs, bands, offsets)
    zero_points = {band: ZP_REF + offset for band, offset in offsets.items()}
    return SyntheticField(
        bands, wcs, truth, images, headers, psfs, catalog, reference, zero_points
    )  # fmt: skip


def _truth(rng, shape, n_stars, n_galaxies, bands, separation, star_flux, galaxy_flux):
    x, y = star_positions(rng, n_stars + n_galaxies, shape, separation, border=12.0)
    count = n_stars + n_galaxies
    is_star = np.arange(count) < n_stars
    truth = Table({"id": [f"{i:05d}" for i in range(count)]})
    truth["id"] = truth["id"].astype("U12")
    truth["type"] = np.where(is_star, "STAR", "SERSIC").astype("U6")
    truth["x"], truth["y"] = x, y
    shapes = {
        "r_eff": np.exp(rng.uniform(np.log(2.0), np.log(5.0), count)),
        "n": rng.uniform(0.7, 3.5, count),
        "ellip": rng.uniform(0.1, 0.6, count),
        "theta": rng.uniform(-90, 90, count),
    }
    for name, values in shapes.items():
        truth[name] = np.where(is_star, np.nan, values)
    low, high = (np.where(is_star, s, g) for s, g in zip(star_flux, galaxy_flux, strict=True))
    flux = np.exp(rng.uniform(np.log(low), np.log(high)))
    colour = rng.normal(np.where(is_star, 0.0, 0.4), 0.3)
    for index, band in enumerate(bands):
        truth[f"flux_{band}"] = flux * 10 ** (0.4 * colour * (index - len(bands) // 2))
    return truth


def _light(truth, shape, psfs, subsample):
    """Noise-free images by band, at zero point 25."""
    stars = truth[truth["type"] == "STAR"]
    images = {
        band: star_image(shape, psf, stars["x"], stars["y"], stars[f"flux_{band}"])
        for band, psf in psfs.items()
    }
    reach = max(psf.reach(1e-6) for psf in psfs.values())
    for row in truth[truth["type"] != "STAR"]:
        params = SersicParams(
            row["x"], row["y"], row["r_eff"], row["n"], row["ellip"], np.radians(row["theta"])
        )
        galaxy = SersicImage(params, shape, reach, subsample)
        for band, psf in psfs.items():
            images[band] += row[f"flux_{band}"] * galaxy.seen_through(psf)
    return images


def _catalog(rng, truth, wcs, scatter):
    count = len(truth)
    x, y = truth["x"] + rng.normal(0, scatter, count), truth["y"] + rng.normal(0, scatter, count)
    ra, dec = wcs.all_pix2world(x, y, 0)
    catalog = Table({"ID": truth["id"], "RA": ra, "DEC": dec, "TYPE": truth["type"]})
    q = (1 - truth["ellip"]) * np.exp(rng.normal(0, 0.15, count))
    catalog["ELL"] = np.clip(1 - q, 0.02, 0.8)
    catalog["THETA"] = np.mod(truth["theta"] + rng.normal(0, 10, count) + 90, 180) - 90
    catalog["Re"] = truth["r_eff"] * np.exp(rng.normal(0, 0.2, count))
    return catalog


def _reference(truth, wcs, bands, offsets):
    stars = truth[(truth["type"] == "STAR") & (truth["id"] != "")]
    ra, dec = wcs.all_pix2world(stars["x"], stars["y"], 0)
    middle = bands[len(bands) // 2]
    reference = Table({"source_id": [f"{37 * 10**17 + 7 * i}" for i in range(len(stars))]})
    reference["ra"], reference["dec"] = ra, dec
    reference["phot_g_mean_mag"] = ZP_REF - 2.5 * np.log10(stars[f"flux_{middle}"])
    for band in bands:
        reference[f"mag_{band}"] = ZP_REF + offsets[band] - 2.5 * np.log10(stars[f"flux_{band}"])
    return reference
