"""A catalogue of reference stars: positions on the sky, and magnitudes in the bands of a field.

Columns as tract7dt has them: ``source_id``, ``ra``, ``dec``, ``phot_g_mean_mag``, ``mag_<band>``
and, if known, ``mag_<band>_err``, ``pmra`` and ``pmdec`` (mas a year), ``ref_epoch`` (year).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.datamodels.catalogs.catalog_table import found_column, numbers, open_table
from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ReferenceStars", "read_reference_stars"]

_IDS = ("source_id", "id", "gaia_source_id", "name", "objid")
_MAGNITUDES = ("phot_g_mean_mag", "gmag", "g_mean_mag", "mag")


@dataclass(frozen=True, eq=False)
class ReferenceStars:
    """Stars of known place and brightness.

    Parameters
    ----------
    id : (n,) array of str
    ra, dec : (n,) arrays
        Degrees, ICRS.
    magnitude : (n,) array
        By which stars are chosen; NaN where there is none.
    magnitudes, errors : dict of str to (n,) array
        By band, for the bands that the table has.
    """

    id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    magnitude: np.ndarray
    magnitudes: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, index: np.ndarray) -> ReferenceStars:
        """Some of the stars."""
        return ReferenceStars(
            self.id[index],
            self.ra[index],
            self.dec[index],
            self.magnitude[index],
            {band: values[index] for band, values in self.magnitudes.items()},
            {band: values[index] for band, values in self.errors.items()},
        )


def read_reference_stars(
    source: Any, bands: Sequence[str], epoch: float | None = None
) -> ReferenceStars:
    """Read a catalogue of reference stars.

    Parameters
    ----------
    source : path-like or table
    bands : sequence of str
    epoch : float, optional
        Julian year to which stars with a proper motion and an epoch are moved.

    Returns
    -------
    ReferenceStars

    Raises
    ------
    InputError
        If it cannot be read, or has no positions on the sky.
    """
    table = open_table(source, "reference", as_text=_IDS)
    positions = read_position_catalog(table, what="reference")
    if not positions.on_sky:
        raise InputError(
            f"reference: columns of right ascension and declination are needed, it has "
            f"{positions.columns}"
        )
    ra, dec = positions.first, positions.second
    if epoch is not None:
        ra, dec = _moved(table, ra, dec, epoch)
    name = found_column(table, _MAGNITUDES)
    none = np.full(len(table), np.nan)
    magnitudes, errors = {}, {}
    for band in bands:
        own = found_column(table, (f"mag_{band}",))
        if own is None:
            continue
        magnitudes[band] = numbers(table, own, "reference", u.mag, u.ABmag)
        error = found_column(table, (f"mag_{band}_err", f"magerr_{band}", f"e_mag_{band}"))
        errors[band] = none if error is None else numbers(table, error, "reference", u.mag)
    return ReferenceStars(
        np.array(positions.name, dtype=str) if len(table) else np.zeros(0, "U1"),
        ra,
        dec,
        none if name is None else numbers(table, name, "reference", u.mag, u.ABmag),
        magnitudes,
        errors,
    )


def _moved(table, ra, dec, epoch):
    """Positions at another epoch; stars without a proper motion stay."""
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    names = [found_column(table, (own,)) for own in ("pmra", "pmdec", "ref_epoch")]
    if None in names:
        return ra, dec
    rate = u.mas / u.yr
    pm_ra, pm_dec = (numbers(table, own, "reference", rate) for own in names[:2])
    epochs = numbers(table, names[2], "reference", u.yr)
    known = np.isfinite(pm_ra) & np.isfinite(pm_dec) & np.isfinite(epochs) & np.isfinite(ra)
    if not known.any():
        return ra, dec
    sky = SkyCoord(
        ra[known] * u.deg, dec[known] * u.deg, pm_ra_cosdec=pm_ra[known] * rate,
        pm_dec=pm_dec[known] * rate, obstime=Time(epochs[known], format="jyear"),
        distance=1 * u.kpc,
    ).apply_space_motion(Time(epoch, format="jyear"))  # fmt: skip
    ra, dec = ra.copy(), dec.copy()
    ra[known], dec[known] = sky.ra.deg, sky.dec.deg
    return ra, dec
