"""The bands and sources of a `FieldModel` as core has them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.field import records
from galstep.core.scene import psf_map
from galstep.datamodels.field.field_pixels import FieldPixels
from galstep.exceptions import InputError, PrerequisiteError
from galstep.flags import FieldFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table

    from galstep.datamodels.field.field_band import FieldBand
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["core_bands", "core_sources", "fwhm_at", "law_from_tree", "law_to_tree"]


@dataclass(frozen=True, eq=False)
class _Source:
    """`FieldPixels` as core's `PixelSource`."""

    pixels: FieldPixels

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.pixels.shape

    @property
    def identity(self) -> str:
        """Changes with what is read."""
        return self.pixels.identity

    def read(self, box: records.Box) -> records.BandPixels:
        """The pixels of a box that lies inside the image."""
        return records.BandPixels(*self.pixels.read(box))


def core_bands(
    model: FieldModel, names: Sequence[str] | None = None, need_psf: bool = True
) -> list[records.FieldBand]:
    """The bands of a model, ready to be fitted.

    Parameters
    ----------
    model : FieldModel
    names : sequence of str, optional
        By default all.
    need_psf : bool, optional
        Whether a band without a PSF is refused; else it gets a stand-in.

    Raises
    ------
    PrerequisiteError
        If a band has no PSF yet.
    """
    return [_band(model, model.bands[name], need_psf) for name in names or model.bands]


def _band(model, band: FieldBand, need_psf):
    if band.psf is None and need_psf:
        raise PrerequisiteError(
            f"band {band.name} has no PSF: run FieldPSF first, or give psf_file"
        )
    law = None if band.psf is None else law_from_tree(band.psf.law)
    return records.FieldBand(
        name=band.name,
        pixels=_Source(band.pixels(model.ellipses)),
        sigma=band.sigma,
        variance_per_unit=band.variance_per_unit,
        psf=None if law is None else psf_map.PsfMap(law),
        pixel_map=band.pixel_map,
        noise_factor=band.noise_factor,
    )


def fwhm_at(band: FieldBand, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """FWHM of a band's PSF at places.

    Parameters
    ----------
    band : FieldBand
    x, y : (N,) arrays
        Pixels of the first band.

    Returns
    -------
    (N,) array
        Pixels of the band.
    """
    psf = psf_map.PsfMap(law_from_tree(band.psf.law))
    if not psf.law.varies:
        return np.full(len(x), psf.at(0.0, 0.0).fwhm)
    x, y = band.pixel_map.points(x, y)
    return np.array([psf.at(*place).fwhm for place in zip(x, y, strict=True)])


def law_to_tree(law: Any) -> dict:
    """A law of the PSF by place as a plain tree: its class and its fields."""
    tree = {own.name: getattr(law, own.name) for own in fields(law)}
    return {"law": type(law).__name__} | tree


def law_from_tree(tree: dict) -> Any:
    """The law that `law_to_tree` made a tree of.

    Raises
    ------
    InputError
        If there is no such law.
    """
    kinds = {cls.__name__: cls for cls in (psf_map.SingleLaw, psf_map.GridLaw)}
    kind = kinds.get(tree.get("law")) or _fitted_law(tree.get("law"))
    if kind is None:
        raise InputError(f"psf: {tree.get('law')!r} is no law of a PSF by place")
    own: dict[str, Any] = {f.name: tree[f.name] for f in fields(kind) if f.name in tree}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
    return kind(**values)


def _fitted_law(name):
    """The law that is measured on stars, if it is that."""
    from galstep.core.field.epsf import PolynomialLaw

    return PolynomialLaw if name == PolynomialLaw.__name__ else None


def core_sources(
    start: Table, bands: Sequence[str], use_priors: bool, priors: Sequence[str] | None = None
) -> records.FieldSources:
    """A start table as core has it.

    Parameters
    ----------
    start : `astropy.table.Table`
        See `galstep.datamodels.field.field_catalog.empty_start`.
    bands : sequence of str
    use_priors : bool
        Whether errors of the catalogue are priors.
    priors : sequence of str, optional
        Of which parameters: position, flux, r_eff, n, ellip, theta; by default all.
    """
    size = len(start)
    column = {name: np.array(start[name]) for name in start.colnames}
    chosen = set(priors or ("position", "flux", "r_eff", "n", "ellip", "theta"))
    none = records.SourcePriors.none(size, len(bands))
    widths = {own.name: getattr(none, own.name) for own in fields(none)}
    if use_priors:
        for name in chosen - {"flux"}:
            widths[name] = column["pos_err" if name == "position" else f"{name}_err"]
        if "flux" in chosen:
            widths["flux"] = _by_band(column, "flux_{}_err", bands, size)
        widths["theta"] = np.radians(widths["theta"])
    flags = column["flags"]
    kinds = {kind.name: int(kind) for kind in records.SourceType}
    return records.FieldSources.make(
        # a row without a position is not fitted; core has numbers nevertheless
        np.nan_to_num(column["x"], nan=-1e3),
        np.nan_to_num(column["y"], nan=-1e3),
        len(bands),
        kind=np.array([kinds.get(str(t), 0) for t in column["type"]], dtype=int),
        flux=_by_band(column, "flux_{}", bands, size),
        r_eff=column["r_eff"],
        n=column["n"],
        ellip=column["ellip"],
        theta=np.radians(column["theta"]),
        priors=records.SourcePriors(**widths),
        fit=flags & int(FieldFlag.EXCLUDED) == 0,
        flags=flags,
    )


def _by_band(column, form, bands, size):
    found = [column[form.format(band)] for band in bands]
    return np.column_stack(found) if found else np.zeros((size, 0))
