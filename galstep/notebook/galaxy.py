"""`fit`: one galaxy, from arrays to tables and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.batch.nested import merged
from galstep.batch.parameters import make_pipeline
from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.angles import sky_place
from galstep.datamodels.files.safe_name import safe_name
from galstep.exceptions import InputError
from galstep.notebook.images import as_images, is_array, what_is_assumed
from galstep.notebook.keywords import pipeline_parameters
from galstep.notebook.messages import kept_messages
from galstep.notebook.psfs import as_psfs
from galstep.notebook.results import FitResult

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["fit", "read"]


def fit(
    image: Any,
    psf: Any = None,
    oversample: Any = None,
    err: Any = None,
    mask: Any = None,
    wcs: Any = None,
    *,
    filter: str | None = None,
    position: Any = None,
    xy: Any = None,
    name: str | None = None,
    steps: Mapping[str, Any] | None = None,
    verbose: bool = False,
    **parameters: Any,
) -> FitResult:
    """Measure a galaxy among stars; nothing is written, nothing is printed.

    Parameters
    ----------
    image : array, Quantity, NDData, or dict of filter to these
        (ny, nx); also a masked array, a file, an open FITS file, an image model, a saved
        galaxy: whatever `galstep.datamodels.input.open` takes. Pixels that are not finite have
        no data. Arrays without a unit are in ``unit`` (MJy/sr by default) on pixels of
        ``pixel_scale`` (0.03 arcsec), unless a WCS tells.
    psf : array, (array, oversample), PSF model, file, or dict of filter to these
        The effective PSF, pixel response included, the star on the centre of the array.
        Not needed if ``image`` brings it.
    oversample : int, or dict of filter to int
        Samples of the PSF per image pixel, for plain arrays.
    err : array, Quantity, number, or dict of filter to these, optional
        1-sigma errors. By default those of the image, else measured from its scatter.
    mask : bool array, or dict of filter to these, optional
        True = bad.
    wcs : `astropy.wcs.WCS` or dict of filter to these, optional
    filter : str, optional
        Name of the filter of a single image, such as ``"F150W"``.
    position : SkyCoord, str, or (ra, dec), optional
        Where the galaxy is, ICRS; needs a WCS. By default near the middle of the image.
    xy : (float, float), optional
        The same in 0-based pixels.
    name : str, optional
        What the galaxy is called.
    steps : dict, optional
        Parameters of steps: ``{"basefit": {"iter_basefit": 5}}``.
    verbose : bool, optional
        Show the log.
    **parameters
        ``basefit={"iter_basefit": 5}``, ``**{"basefit.iter_basefit": 5}``; parameters of the
        pipeline and of LoadCrop by their bare names: ``size=6``, ``unit="Jy/pixel"``.

    Returns
    -------
    FitResult
        ``galaxy``, ``stars``, ``apertures``, ``knots``, ``companions`` (tables with units),
        ``plot()``, ``save(folder)``, ``model``.

    Raises
    ------
    InputError
        If image, PSF, errors or mask cannot be used.
    ParameterError
        If a parameter is unknown or out of range.
    """
    own = pipeline_parameters(steps, parameters)
    own = merged(own, _place(position, xy))
    with kept_messages(verbose) as messages:
        pipeline = make_pipeline(None, own)
        pipeline.save_results, pipeline.shows_progress = False, verbose
        images = as_images(image, err, mask, wcs, filter)
        model = _opened(pipeline, images, psf, oversample)
        loading = pipeline.loadcrop
        said = own.get("steps", {}).get("loadcrop", {})
        assumed = what_is_assumed(images, loading.unit, loading.pixel_scale, said)
        if assumed:
            messages.append(assumed)
        if name is not None:
            model.meta.name = safe_name(str(name))
        return FitResult(pipeline.run(model), messages)


def read(path: PathLike) -> FitResult:
    """A galaxy that was measured and saved before.

    Parameters
    ----------
    path : path-like
        ``<name>_gal.asdf``, or the same as HDF5.

    Returns
    -------
    FitResult
    """
    with kept_messages() as messages:
        return FitResult(GalaxyModel.open(path), messages)


def _place(position, xy):
    """Where the galaxy is, as parameters of LoadCrop."""
    if position is None and xy is None:
        return {}
    if position is not None and xy is not None:
        raise InputError("give position (on the sky) or xy (pixels), not both")
    if position is not None:
        values = dict(zip(("ra", "dec"), sky_place(position), strict=True))
        return {"steps": {"loadcrop": values}}
    try:
        x, y = (float(value) for value in xy)
    except (TypeError, ValueError):
        raise InputError(f"xy must be two numbers of pixels, got {xy!r}") from None
    if not np.isfinite([x, y]).all():
        raise InputError(f"xy must be two finite numbers of pixels, got {xy!r}")
    return {"steps": {"loadcrop": {"x_guess": x, "y_guess": y}}}


def _opened(pipeline, images, psf, oversample):
    """The model, read as the pipeline would have read it."""
    if isinstance(images, GalaxyModel):
        return images
    options = pipeline.loadcrop.reading_options()
    options["filters"] = options["filters"] or pipeline.filters
    if psf is not None:
        names = list(images) if isinstance(images, Mapping) else None
        options["psf_file"] = as_psfs(psf, oversample, options["filters"] or names)
        if not isinstance(oversample, Mapping):
            options["psf_oversample"] = oversample or options["psf_oversample"]
    elif options["psf_file"] is None and isinstance(images, Mapping):
        if any(is_array(image) or hasattr(image, "uncertainty") for image in images.values()):
            raise InputError(
                "psf is needed: an array with oversample, a PSF model of photutils, or a file"
            )
    return GalaxyModel.open(images, **options)
