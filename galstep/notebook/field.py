"""`fit_field`: stars and galaxies of a field in several bands, from arrays to a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from astropy.nddata import NDData

from galstep.batch.nested import merged
from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.images.duck_nddata import is_nddata
from galstep.datamodels.input.missing_filter import ONLY_FILTER
from galstep.exceptions import InputError
from galstep.notebook.field_result import FieldResult
from galstep.notebook.images import as_images, is_array
from galstep.notebook.keywords import pipeline_parameters
from galstep.notebook.messages import kept_messages
from galstep.notebook.psfs import as_psfs
from galstep.pipeline import FieldPipeline
from galstep.steps.framework.validation import suggestion

__all__ = ["fit_field"]

_ARGUMENTS = (
    "images", "catalog", "psf", "oversample", "err", "mask", "wcs", "filter", "reference",
    "zero_point", "name", "steps", "verbose",
)  # fmt: skip
# what LoadField looks for first; the keyword says that the caller has told it
_ZERO_POINT = "ZP_AUTO"


def fit_field(
    images: Any,
    catalog: Any = None,
    psf: Any = None,
    oversample: Any = None,
    err: Any = None,
    mask: Any = None,
    wcs: Any = None,
    *,
    filter: str | None = None,
    reference: Any = None,
    zero_point: Any = None,
    name: str | None = None,
    steps: Mapping[str, Any] | None = None,
    verbose: bool = False,
    **parameters: Any,
) -> FieldResult:
    """Measure all stars and galaxies of a field; nothing is written, nothing is printed.

    Parameters
    ----------
    images : dict of filter to array, Quantity or NDData; or one of these
        (ny, nx) each, one image per band; also a path or a list of paths, as
        ``galstep.steps.LoadField`` takes them. The pixels of the first band are the grid of
        all positions. Pixels that are not finite have no data.
    catalog : table, SkyCoord or file, optional
        What to start from: ``ra`` and ``dec``, or ``x`` and ``y``; types, shapes and fluxes if
        they are known. By default sources are detected.
    psf : array, (array, oversample), PSF model or grid, file; or dict of filter to these
        The effective PSFs. By default they are measured on the stars of the field.
    oversample : int, or dict of filter to int, optional
        Samples of the PSF per image pixel, for plain arrays.
    err : array, Quantity, number, or dict of filter to these, optional
        1-sigma errors, photon noise of the sources included (``error_plane="sky"``: without).
        By default those of the image, else the noise of the sky is measured.
    mask : bool array, or dict of filter to these, optional
        True = bad.
    wcs : `astropy.wcs.WCS` or dict of filter to these, optional
        One holds for all bands. Bands on different pixels need one each.
    filter : str, optional
        Name of the band of a single image.
    reference : table or file, optional
        Stars with magnitudes, for zero points; needs a WCS.
    zero_point : float, or dict of filter to float, optional
        AB magnitude of one image unit in a pixel. Not needed where the unit of the image tells
        (``nJy``; with a WCS also ``MJy/sr``), or its header.
    name : str, optional
        What the field is called.
    steps : dict, optional
        Parameters of steps: ``{"fieldfit": {"block_size": 60}}``.
    verbose : bool, optional
        Show the log.
    **parameters
        ``fieldfit={"joint": False}``, ``**{"fieldfit.joint": False}``; parameters of the
        pipeline and of LoadField by their bare names: ``workers=4``, ``gain_key=2.5``.

    Returns
    -------
    FieldResult
        ``catalog``, ``bands`` (tables with units), ``residual(band)``, ``plot()``,
        ``save(folder)``, ``model``. Sources of blocks that failed have the flag ``failed``.

    Raises
    ------
    InputError
        If an image, PSF or catalogue cannot be used.
    ParameterError
        If a parameter is unknown or out of range.
    """
    own = pipeline_parameters(steps, parameters, FieldPipeline, "loadfield", _ARGUMENTS)
    own = merged(own, _numbers_as_text(own))
    with kept_messages(verbose) as messages:
        pipeline = FieldPipeline.from_parameters(own)
        pipeline.save_results, pipeline.shows_progress = False, verbose
        images = _with_zero_points(_named(as_images(images, err, mask, wcs, filter)), zero_point)
        if psf is not None:
            names = list(images) if isinstance(images, Mapping) else None
            psf = as_psfs(psf, oversample, pipeline.loadfield.filters or names)
            if oversample is not None and not isinstance(oversample, Mapping):
                pipeline.fieldpsf.oversample = oversample
        pipeline.give(catalog=catalog, reference=reference, psf_file=psf)
        model = pipeline.run(images)
        if name is not None:
            model.meta.name = safe_name(str(name))
        return FieldResult(model, messages)


def _numbers_as_text(own):
    """Numbers in place of keywords, as LoadField has them."""
    loading = own.get("steps", {}).get("loadfield", {})
    numbers = {key: str(value) for key, value in loading.items()
               if key.endswith("_key") and isinstance(value, Real)}  # fmt: skip
    return {"steps": {"loadfield": numbers}} if numbers else {}


def _named(images):
    """A single image that tells no filter gets a name."""
    if not is_nddata(images):
        return images
    told = {str(key).upper() for key in images.meta} & {"FILTER", "FILTER1", "FILTER2", "FILTNAM1"}
    return images if told else {ONLY_FILTER: images}


def _with_zero_points(images, zero_point):
    """Images that say their zero points."""
    if zero_point is None:
        return images
    if not isinstance(images, Mapping):
        if not isinstance(zero_point, Mapping) and is_nddata(images):
            return _with_zero_point(images, zero_point, "zero_point")
        raise InputError(
            "zero_point is for images in memory; for files: zp_key, a keyword of their headers or "
            "a number"
        )
    if not isinstance(zero_point, Mapping):
        zero_point = dict.fromkeys(images, zero_point)
    for key in zero_point:
        if key not in images:
            near = suggestion(key, images)
            raise InputError(f"zero_point: there is no image of filter {key!r}{near}")
    return {
        key: _with_zero_point(image, zero_point[key], f"zero_point[{key!r}]")
        if key in zero_point
        else image
        for key, image in images.items()
    }


def _with_zero_point(image, value, where):
    """An image with its zero point among its keywords; the caller's own stays as it is."""
    if isinstance(value, bool):
        raise InputError(f"{where} must be a number (AB mag), got {value!r}")
    try:
        value = float(getattr(value, "value", value))
    except (TypeError, ValueError):
        raise InputError(f"{where} must be a number (AB mag), got {value!r}") from None
    if is_array(image):
        image = NDData(image)
    if not is_nddata(image):
        raise InputError(f"{where}: the image is no array or NDData: its header tells (zp_key)")
    meta = {str(key): own for key, own in image.meta.items() if str(key).upper() != _ZERO_POINT}
    return NDData(
        image.data, image.uncertainty, image.mask, image.wcs, meta | {_ZERO_POINT: value},
        image.unit,
    )  # fmt: skip
