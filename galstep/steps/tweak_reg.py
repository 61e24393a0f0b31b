"""TweakReg: images aligned by their stars."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from galstep.core.align.options import FinderOptions, MatchOptions
from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.reference_catalog import read_sky_catalog
from galstep.datamodels.images.association import is_association
from galstep.datamodels.sky.exposures import is_library, open_exposures
from galstep.datamodels.sky.image_list import ImageList, write_table
from galstep.datamodels.sky.image_writer import corrected_model
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError, ParameterError
from galstep.flags import BandFlag
from galstep.records import Registration
from galstep.steps.framework.given_tables import GivenTable, table_of
from galstep.steps.framework.option_spec import OptionSet
from galstep.steps.galaxy.base_filter import choose_base_filter
from galstep.steps.galaxy.scenes import effective_psf
from galstep.steps.images.image_step import ImageStep, needs_package
from galstep.steps.images.tweak_reg_catalogs import custom_catalogs, user_positions
from galstep.steps.images.tweak_reg_tables import catalog_table, summary_table

__all__ = ["TweakReg"]

REASON = "TweakReg: "
# In a cutout the background is that of the galaxy: box sides in pixels and in FWHM.
LEAST_BOX, BOX_IN_FWHM = 16, 6.0
MODEL_FILES = (".asdf", ".h5", ".hdf5")

FINDER, MATCH = OptionSet(FinderOptions()), OptionSet(MatchOptions())
# there is no absolute first guess
ABSOLUTE = OptionSet(
    MatchOptions(),
    without=["xoffset", "yoffset"],
    minobj={"name": "abs_minobj", "default": 15, "help": "minobj for the absolute alignment"},
    searchrad={
        "name": "abs_searchrad",
        "default": 6.0,
        "help": "searchrad for the absolute alignment (arcsec)",
    },
    use2dhist={
        "name": "abs_use2dhist",
        "default": True,
        "help": "use2dhist for the absolute alignment; without it the first offset is zero",
    },
    separation={
        "name": "abs_separation",
        "default": 0.1,
        "help": "separation for the absolute alignment (arcsec)",
    },
    tolerance={
        "name": "abs_tolerance",
        "default": 0.7,
        "help": "tolerance for the absolute alignment (arcsec)",
    },
    fitgeometry={
        "name": "abs_fitgeometry",
        "default": "rshift",
        "help": "fitgeometry for the absolute alignment",
    },
    nclip={"name": "abs_nclip", "default": 3, "help": "nclip for the absolute alignment"},
    sigma={"name": "abs_sigma", "default": 3.0, "help": "sigma for the absolute alignment"},
)


class TweakReg(ImageStep):
    """Align images by the stars in them.

    Give it images with a WCS (FITS files, one after the other, or an association;
    from Python also CCDData, image models, a container or a library of them):
    each WCS is corrected so that the same stars have the same sky positions.
    The chips of one exposure move together. Of a galaxy it aligns the filters;
    without a WCS their registration is measured in pixels.

    ``galstep params tweakreg --all`` lists every parameter.
    """

    class_alias = "gal_tweakreg"
    result_class = ImageList
    _gives_back = False

    spec = f"""
    skip = boolean(default=True)                # Skip this step in a pipeline; on its own it runs
    save_catalogs = boolean(default=False)      # Write out catalogs: <image>_cat with the stars found in each image, also without save_results
    use_custom_catalogs = boolean(default=False)  # Use the catalogs named in catfile, in the association or by the images; where none is named stars are found
    catalog_format = string(default='ecsv')     # Format of catalogs, read and written: a name that astropy.table knows
    catfile = string(default='')                # Name of a file with, in each line, an image and its catalog (columns x, y in 0-based pixels; flux if known); an image alone: its stars are found
{FINDER.spec}    enforce_user_order = boolean(default=False)  # Align images in the order in which they are given; else, with expand_refcat, those that overlap most come first
    expand_refcat = boolean(default=False)      # Add the stars of each aligned image that the reference catalog lacks to it
{MATCH.spec}    abs_refcat = string(default='')             # File with a catalog on the sky (columns RA, DEC in degrees) to which all images are brought together; named Gaia catalogs are not downloaded
    save_abs_catalog = boolean(default=False)   # Write out the absolute catalog that was used
{ABSOLUTE.spec}    output_use_model = boolean(default=True)    # Name the output after the file name that the model knows
    images = force_list(default=None)           # Further images to align with the one given
    base_filter = string(default='F150W')       # Filter of a galaxy to which the others are aligned, unless an earlier step has chosen one; not in the data: the filter with the most signal
    """

    def process(self, *inputs: Any) -> GalaxyModel | ImageList:
        """Align.

        Parameters
        ----------
        *inputs : path-like, GalaxyModel, or images
            One galaxy, or images: see `galstep.datamodels.sky.exposures.open_exposures`.

        Returns
        -------
        GalaxyModel or `galstep.datamodels.sky.image_list.ImageList`
            As what was given. Images that could not be aligned are as they were.
            In the pipeline of another package a library of models is given back,
            its models corrected.

        Raises
        ------
        ParameterError
            If the parameters contradict each other, or ask for a download.
        InputError
            If an image cannot be read or has no WCS.
        """
        needs_package("tweakwcs", "align", "TweakReg")
        if self.starfinder == "segmentation":  # photutils deblends with it
            needs_package("skimage", "align", "starfinder = segmentation")
        self._check_parameters()
        given = [*inputs, *(self.images or [])]
        only = given[0] if len(given) == 1 else None
        while isinstance(only, list | tuple) and len(only) == 1:
            only = only[0]
        if _is_galaxy(only):
            return self._galaxy(self.prepare_output(only))
        images = open_exposures(given)
        result = self._images(images, is_one=_is_one_image(only, images))
        if is_association(only):
            result.meta.filename = Path(only).name
        self._gives_back = self.parent is not None and is_library(only)
        return _given_back(only, result) if self._gives_back else result

    def finalize_result(self, result: Any, reference_files_used: Any) -> None:
        """See `galstep.steps.images.image_step.ImageStep`; the models of a host's library are not ours."""
        if not self._gives_back:
            super().finalize_result(result, reference_files_used)

    # ------------------------------------------------------------ parameters

    def _check_parameters(self):
        for prefix in ("", "abs_"):
            for name in ("searchrad", "separation", "tolerance"):
                value = getattr(self, f"{prefix}{name}")
                if not (np.isfinite(value) and value > 0):
                    raise ParameterError(f"{prefix}{name} must be positive (arcsec), got {value}")
        if self.connectivity not in (4, 8):
            raise ParameterError(f"connectivity must be 4 or 8, got {self.connectivity}")
        self._finder_options()

    def _finder_options(self):
        return FINDER.record_of(self)

    # ---------------------------------------------------------------- images

    def _images(self, images, is_one=False):
        from galstep.core.align.images import AlignImage, groups_of

        without = [image.name for image in images if image.wcs is None]
        if without:
            raise InputError(f"image {without[0]!r} has no WCS: there is nothing to align")
        if is_one and not (self._absolute or self.save_catalogs):
            raise InputError("TweakReg needs two images or more, or abs_refcat: got one image")
        # a catalogue that cannot be had is to be known before the work, not after it
        catalog = read_sky_catalog(table_of(self.abs_refcat)) if self._absolute else None
        own = custom_catalogs(images, self.use_custom_catalogs, self.catfile)
        entries = [
            AlignImage(f"{i}", image.shape, image.wcs, stars, image.wcsinfo, image.group_id)
            for i, (image, stars) in enumerate(
                zip(images, self._stars_of(images, own), strict=True)
            )
        ]
        relative, absolute = self._align(entries, catalog)
        result = ImageList(
            [_corrected(*found) for found in zip(images, relative, absolute, strict=True)]
        )
        first = images[0].source
        is_file = isinstance(first, str | os.PathLike)
        result.meta.filename = Path(first).name if is_file else f"{images[0].name}.fits"
        result.alignments = list(zip(relative, absolute, strict=True))
        result.summary = summary_table(images, relative, absolute)
        self._add_tables(result, entries, own, catalog)
        self._report(result, relative, absolute, len(groups_of(entries)))
        return result

    @property
    def _absolute(self):
        return bool(self.abs_refcat) and str(self.abs_refcat).lower() != "none"

    def _align(self, entries, catalog):
        """Relative and absolute `Alignment` of every entry; None where it was not tried."""
        from galstep.core.align.images import align_images, align_sets_to_catalog

        relative = [None] * len(entries)
        # of one group alone it says so, unless there is a catalogue to bring it to
        if len(entries) > 1 and not (catalog is not None and _is_one_group(entries)):
            relative = align_images(
                entries, MATCH.record_of(self), self.enforce_user_order, self.expand_refcat
            )
        absolute = [None] * len(entries)
        if catalog is not None:
            options = ABSOLUTE.record_of(self)
            absolute = align_sets_to_catalog(entries, relative, catalog, options)
        return relative, absolute

    def _stars_of(self, images, own, options=None):
        """The catalogue of every image: the user's, or found."""
        from galstep.core.align.catalog import find_positions

        options = options or [self._finder_options()] * len(images)
        for image, path, finder in zip(images, own, options, strict=True):
            if path is not None:
                stars = user_positions(path, self.catalog_format)
            else:
                data = np.asarray(image.data, dtype=float)
                stars = find_positions(data, _bad_pixels(image), finder)
            yield stars.select(_in_bounding_box(stars, image.wcs))

    def _add_tables(self, result, entries, own, catalog):
        if self.save_catalogs:
            for image, entry, path in zip(result, entries, own, strict=True):
                if path is None:  # the user has his own
                    table = catalog_table(entry.stars, image.wcs)
                    result.tables[f"{image.name}_cat"] = (table, self.catalog_format)
        if self.save_abs_catalog and catalog is not None:
            given = isinstance(self.abs_refcat, GivenTable)
            stem = "given" if given else Path(self.abs_refcat).stem
            result.tables[f"fit_{stem}_ref"] = (catalog, "ecsv")
        if not self.save_results:  # which writes them as well
            for stem, (table, table_format) in result.tables.items():
                write_table(table, self._output_folder / stem, table_format)

    @property
    def _output_folder(self):
        return Path(os.path.expandvars(os.path.expanduser(self.output_dir or ".")))

    def _report(self, model, relative, absolute, n_groups):
        counts = {"aligned": 0, "reference": 0, "failed": 0}
        for image, *found in zip(model, relative, absolute, strict=True):
            tried = [alignment for alignment in found if alignment is not None]
            counts[tried[-1].status if tried else "failed"] += 1
            for alignment in tried:
                if alignment.status == "failed":
                    by = " with the others" if len(tried) > 1 and alignment is tried[0] else ""
                    self._logger.warning("%s: not aligned%s: %s", image.name, by, alignment.reason)
        if n_groups == 1 and not self._absolute:
            self.skipped(model, "at least two exposures are needed, or abs_refcat")
        else:
            self.complete(model, images=len(model), groups=n_groups, **counts)

    # ---------------------------------------------------------------- galaxy

    def _galaxy(self, model):
        base = choose_base_filter(model.bands, model.meta.base_filter or self.base_filter)
        names = [base, *(name for name in model.bands if name != base)]
        for band in model.bands.values():
            band.flags &= ~int(BandFlag.NOT_ALIGNED)
            band.reasons = [r for r in band.reasons if not r.startswith(REASON)]
        bands = [model.bands[name] for name in names if model.bands[name].usable]
        images = [SkyImage(band.name, band.data, band.err, band.mask, band.wcs) for band in bands]
        own = custom_catalogs(images, self.use_custom_catalogs, self.catfile)
        finders = [self._cutout_options(band) for band in bands]
        stars = list(self._stars_of(images, own, finders))
        with_wcs = all(band.wcs is not None for band in bands)
        (self._galaxy_by_wcs if with_wcs else self._galaxy_by_pixels)(bands, stars)
        self._as_the_fit_sees_it(bands)
        failed = [band for band in bands if band.registration.status == "failed"]
        for band in failed:
            band.flags |= int(BandFlag.NOT_ALIGNED)
            band.reasons.append(f"{REASON}{band.registration.reason}")
            self._logger.warning("%s: not aligned: %s", band.name, band.registration.reason)
        self.complete(
            model, base=base, aligned=len(bands) - 1 - len(failed), failed=len(failed),
            by="WCS" if with_wcs else "pixels",
        )  # fmt: skip
        return model

    def _cutout_options(self, band):
        """The finder for a cutout: the filter's own PSF, a background that follows the galaxy."""
        options = self._finder_options()
        fwhm = max(options.kernel_fwhm, effective_psf(band).fwhm)
        box = min(options.bkg_boxsize, max(LEAST_BOX, round(BOX_IN_FWHM * fwhm)))
        return replace(options, kernel_fwhm=fwhm, bkg_boxsize=box)

    def _as_the_fit_sees_it(self, bands):
        """Take out of the offsets what is due to PSFs whose light is off their centre.

        The finder sees the light, the fit places the middle of the PSF's array.
        """
        from galstep.core.align.catalog import psf_offset

        seen = [psf_offset(effective_psf(band), self._cutout_options(band)) for band in bands]
        base = seen[0] * bands[0].pixel_scale
        for band, own in zip(bands[1:], seen[1:], strict=True):
            if band.registration.status == "aligned":
                # both in pixels of the base
                apart = (own * band.pixel_scale - base) / bands[0].pixel_scale
                offset = tuple(float(v) for v in np.array(band.registration.offset) - apart)
                band.registration = replace(band.registration, offset=offset)

    def _galaxy_by_wcs(self, bands, stars):
        from galstep.core.align.images import AlignImage

        entries = [
            AlignImage(f"{i}", band.shape, band.wcs, own)
            for i, (band, own) in enumerate(zip(bands, stars, strict=True))
        ]
        catalog = read_sky_catalog(table_of(self.abs_refcat)) if self._absolute else None
        relative, absolute = self._align(entries, catalog)
        for i, (band, own) in enumerate(zip(bands, stars, strict=True)):
            found = [a for a in (relative[i], absolute[i]) if a is not None]
            band.registration = _registration(found, band, len(own))
            if found and band.registration.status != "failed":
                band.wcs = found[-1].wcs

    def _galaxy_by_pixels(self, bands, stars):
        from galstep.core.align.pixels import register

        base, reference = bands[0], stars[0]
        if self._absolute:
            raise InputError("abs_refcat needs a WCS in every filter, which the galaxy lacks")
        base.registration = Registration("reference", offset_err=(0.0, 0.0), n_stars=len(stars[0]))
        centre = ((base.shape[1] - 1) / 2, (base.shape[0] - 1) / 2)
        for band, own in zip(bands[1:], stars[1:], strict=True):
            if band.shape != base.shape or band.origin != base.origin:
                band.registration = Registration(
                    "failed", n_stars=len(own), reason=f"no WCS, and another grid than {base.name}"
                )
                continue
            options = MATCH.record_of(self)
            band.registration = register(reference, own, centre, base.pixel_scale, options)


def _is_galaxy(source):
    if isinstance(source, GalaxyModel):
        return True
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in MODEL_FILES


def _is_one_image(source, images):
    """Whether it is one exposure by itself: not an association or a container with one in it."""
    if isinstance(source, str | os.PathLike) and is_association(source):
        return False
    is_container = not (isinstance(source, str | os.PathLike) or hasattr(source, "data"))
    return not is_container and len({image.group_id or image.name for image in images}) == 1


def _is_one_group(entries):
    from galstep.core.align.images import groups_of

    return len(groups_of(entries)) == 1


def _bad_pixels(image):
    """As the image says, but for an error plane that is zero all over: it says nothing."""
    if image.err is not None and not np.any(np.asarray(image.err) > 0):
        image = replace(image, err=None)
    return image.bad_pixels()


def _in_bounding_box(stars, wcs):
    """Stars where a gwcs is defined."""
    box = getattr(wcs, "bounding_box", None) if hasattr(wcs, "available_frames") else None
    if box is None:
        return np.ones(len(stars), dtype=bool)
    (x_0, x_1), (y_0, y_1) = box
    return (stars.x > x_0) & (stars.x < x_1) & (stars.y > y_0) & (stars.y < y_1)


def _corrected(image, *alignments):
    """The image with the WCS of its alignments; as it was where there is none."""
    found = [alignment for alignment in alignments if alignment is not None]
    for alignment in found:
        if alignment.status == "aligned":
            header = image.fits_wcs
            if header is not None:
                header = alignment.correct(header, image.shape)
            image = replace(image, wcs=alignment.wcs, fits_wcs=header)
    done = bool(found) and found[-1].status != "failed"
    status = SimpleNamespace(tweakreg="COMPLETE" if done else "FAILED")
    unchanged = not any(alignment.status == "aligned" for alignment in found)
    return replace(image, meta=SimpleNamespace(cal_step=status), wcs_is_original=unchanged)


def _given_back(library, result):
    """The library of a host's pipeline, its models corrected."""
    with library:
        for index, image in enumerate(result):
            model = library.borrow(index)
            library.shelve(corrected_model(image, model), index)
    return library


def _registration(found, band, n_stars):
    """What is kept of an alignment by WCS: nothing is left to be corrected."""
    if not found:
        return Registration("reference", n_stars=n_stars)
    last = found[-1]
    if last.status != "aligned":
        return Registration(last.status, n_stars=n_stars, reason=last.reason)
    rms = last.rms / band.pixel_scale
    error = rms / np.sqrt(last.n_matches)
    return Registration(
        "aligned", offset_err=(error, error), n_stars=n_stars, n_matches=last.n_matches, rms=rms
    )
