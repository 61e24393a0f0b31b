"""`fit_stars`: the stars of an image, from arrays to a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galstep.exceptions import InputError
from galstep.notebook.images import as_image
from galstep.notebook.messages import kept_messages
from galstep.notebook.psfs import with_sampling
from galstep.notebook.results import StarFieldResult
from galstep.steps import StarPhot

__all__ = ["fit_stars"]


def fit_stars(
    image: Any,
    psf: Any = None,
    oversample: int | None = None,
    err: Any = None,
    mask: Any = None,
    wcs: Any = None,
    *,
    init_params: Any = None,
    verbose: bool = False,
    **parameters: Any,
) -> StarFieldResult:
    """Find and measure the stars of an image; nothing is written, nothing is printed.

    Parameters
    ----------
    image : array, Quantity, NDData, file, or image model
        See `galstep.datamodels.sky.image_door.read_image`.
    psf : array, (array, oversample), PSF model or grid of photutils, file
        The effective PSF, pixel response included.
    oversample : int, optional
        Samples of the PSF per image pixel, for plain arrays.
    err : array, Quantity or number, optional
        1-sigma errors. By default those of the image, else measured from its scatter.
    mask : bool array, optional
        True = bad.
    wcs : `astropy.wcs.WCS`, optional
    init_params : table, SkyCoord or file, optional
        First positions; with ``finder="none"`` the only ones.
    verbose : bool, optional
        Show the log.
    **parameters
        Of `galstep.steps.StarPhot`: ``threshold=4``, ``background="local"``.

    Returns
    -------
    StarFieldResult
        ``stars`` (table with units), ``residual``, ``plot()``, ``save(folder)``, ``model``.

    Raises
    ------
    InputError
        If image, PSF, errors or mask cannot be used.
    ParameterError
        If a parameter is unknown or out of range.
    """
    if isinstance(image, Mapping):
        raise InputError("image: fit_stars measures one image: call it for each filter")
    psf = psf if psf is None else with_sampling(psf, oversample, "psf")
    with kept_messages(verbose) as messages:
        step = StarPhot(**parameters)
        step.oversample = oversample if step.oversample is None else step.oversample
        step.save_results = False
        model = step.run(as_image(image, "image", err, mask, wcs), psf=psf, init_params=init_params)
    return StarFieldResult(model, messages)
