"""Which stars ForcedScaleFit measures in a filter: listed ones, a catalogue's, or both."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.fitting.forced_list import GivenPositions, one_to_one
from galstep.datamodels.catalogs.position_catalog import CatalogColumns, read_position_catalog
from galstep.datamodels.files.table_bounds import bounded_positions, check_rows
from galstep.exceptions import ParameterError, PrerequisiteError
from galstep.mapped_records import mapped_stars
from galstep.records import StarList
from galstep.steps.framework.given_tables import table_of
from galstep.steps.galaxy.scenes import effective_psf

if TYPE_CHECKING:
    import logging

    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["ForcedTargets", "TargetFinder"]

# A listed star this near to a catalogue's (FWHM of the base filter) is the same star.
SAME_STAR_FWHM = 0.5
# Positions of a catalogue are held as they are given, so the registration takes
# them for exact as well (pixels): a shift of a tenth would trade the fluxes of blends.
CATALOG_ERROR = 0.01


@dataclass(frozen=True, eq=False)
class ForcedTargets:
    """What is to be measured in one filter, in the base filter's pixels.

    Parameters
    ----------
    given : `galstep.core.fitting.forced_list.GivenPositions`
        The catalogue's positions first, then the other listed stars.
    stars : `galstep.records.StarList`
        The stars that they make: where the fit starts.
    source : str
        In words.
    """

    given: GivenPositions
    stars: StarList
    source: str

    def as_base(self, base: BandData) -> BandData:
        """The base filter with these stars in place of its own."""
        changed = copy.copy(base)
        changed.fit = replace(base.fit, stars=self.stars)
        return changed


class TargetFinder:
    """Finds the targets of each filter; a catalogue is read once.

    Parameters
    ----------
    model : GalaxyModel
        With a base fit.
    first_id : int
        Number of the first star of a catalogue that is in no list.
    log : `logging.Logger`
    """

    def __init__(self, model: GalaxyModel, first_id: int, log: logging.Logger) -> None:
        self.model, self.log = model, log
        self.base = model.bands[model.meta.base_filter]
        self.next_id, self.catalogs = first_id, {}

    def targets(self, options: Any, fwhm: float) -> ForcedTargets:
        """The targets with these parameters of the step.

        Parameters
        ----------
        options : object
            With ``positions_from``, ``catalog`` and the columns of it.
        fwhm : float
            Of the filter's PSF (pixels of the base).

        Returns
        -------
        ForcedTargets

        Raises
        ------
        ParameterError, PrerequisiteError, InputError
            If there are no such positions.
        """
        listed, source = self._listed(options)
        if options.catalog is None:
            given = GivenPositions.of(
                listed.x, listed.y, self.base.shape, fwhm, listed=len(listed)
            )  # fmt: skip
            return ForcedTargets(
                given, listed.select(given.first_of(np.arange(len(given)))), source
            )
        return self._with_catalog(options, listed, fwhm, source)

    def _listed(self, options):
        """Stars of a fit, in the base filter's pixels, and whose they are."""
        wanted = options.positions_from
        if wanted == "none":
            if options.catalog is None:
                raise ParameterError("positions_from: none needs a catalog, and none is given")
            wanted = "base"  # for the numbers of stars that both know
        name = self.base.name if wanted in ("base", "joint") else wanted
        if name not in self.model.bands:
            raise ParameterError(
                "positions_from must be base, joint, none or a filter of "
                f"{', '.join(self.model.bands)}, got {wanted!r}"
            )
        band = self.model.bands[name]
        if not band.fitted:
            raise PrerequisiteError(f"positions_from: filter {name} has no fit yet")
        if wanted == "joint" and band.fit.step != "jointfit":
            raise PrerequisiteError(
                "positions_from: joint needs the result of JointFit, and the last fit of "
                f"{name} is that of {band.fit.step}"
            )
        return _in_base(band), f"stars of {wanted if wanted == 'joint' else name}"

    def _with_catalog(self, options, listed, fwhm, source):
        key = (options.catalog, _columns(options))
        if key not in self.catalogs:
            self.catalogs[key] = self._read(*key)
        name, x, y, ids, text = self.catalogs[key]
        own, same = np.flatnonzero(np.isfinite(x) & np.isfinite(y)), np.full(len(x), -1)
        reach = SAME_STAR_FWHM * effective_psf(self.base).fwhm
        same[own] = one_to_one(x[own], y[own], listed.x, listed.y, reach)
        known = same >= 0
        others = np.setdiff1d(np.arange(len(listed)), same)
        if options.positions_from == "none":
            others = others[:0]
        ids = np.where(known, listed.star_id[same] if len(listed) else -1, ids)
        flux = np.where(known, listed.flux[same] if len(listed) else 0.0, 0.0)
        rest = listed.select(others)
        given = GivenPositions.of(
            np.append(x, rest.x),
            np.append(y, rest.y),
            self.base.shape,
            fwhm,
            (*name, *("" for _ in others)),
            listed=len(rest),
        )
        stars = _star_list(np.append(ids, rest.star_id), np.append(flux, rest.flux), given)
        held = np.full(len(x), CATALOG_ERROR)
        errors = (np.append(held, rest.x_err), np.append(held, rest.y_err))
        stars = replace(stars, x_err=given.first_of(errors[0]), y_err=given.first_of(errors[1]))
        source = f"{text}; {source}" if len(rest) else text
        return ForcedTargets(given, stars, source)

    def _read(self, path, columns):
        """Names, x, y (the base's pixels), new ids of a catalogue's rows, and its source."""
        catalog = read_position_catalog(
            table_of(path), columns, self.base.wcs is not None, takes=()
        )
        x, y = catalog.first, catalog.second
        if catalog.on_sky:
            x, y = self.base.pixels_of_sky(x, y)
        else:
            x, y = x - self.base.origin[0], y - self.base.origin[1]
        x, y = bounded_positions(x), bounded_positions(y)
        ny, nx = self.base.shape
        inside = np.count_nonzero((abs(x - nx / 2) < nx / 2) & (abs(y - ny / 2) < ny / 2))
        check_rows(inside, np.count_nonzero(~self.base.mask), f"catalog {path}")
        ids = self.next_id + np.arange(len(catalog))
        self.next_id += len(catalog)
        text = f"catalog {path} ({catalog.columns})"
        self.log.info("forcedscalefit: %s: %d positions", text, len(catalog))
        return catalog.name, x, y, ids, text


def _columns(options):
    return CatalogColumns(
        options.catalog_x,
        options.catalog_y,
        options.catalog_ra,
        options.catalog_dec,
        options.catalog_id,
        options.catalog_origin,
    )


def _in_base(band):
    """The stars of a filter's fit, in the pixels of the base filter."""
    stars = mapped_stars(band.fit.pixel_map.inverse(), band.fit.stars)
    dx, dy = band.fit.offset
    return replace(stars, x=stars.x - dx, y=stars.y - dy)


def _star_list(star_id, flux, given):
    count = len(given.star_x)
    unknown = np.full(count, np.nan)
    return StarList(
        star_id=given.first_of(star_id),
        x=given.star_x,
        y=given.star_y,
        flux=np.nan_to_num(given.first_of(flux)),
        x_err=unknown,
        y_err=unknown,
        flux_err=unknown,
        chi2_reduced=unknown,
        flags=np.zeros(count, dtype=int),
    )
