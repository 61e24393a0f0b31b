"""`ImageSource`: the image of one filter as a file or an object offers it.

Readers make it; `galstep.datamodels.input.assemble` makes a `BandData` of it. Its
planes may still lie on disc: only what is cut out is read.
"""

from dataclasses import dataclass, field
from typing import Any

from galstep.exceptions import InputError

__all__ = ["Calibration", "ImageSource"]


@dataclass(frozen=True)
class Calibration:
    """What a header tells of flux calibration; None where it is silent.

    Parameters
    ----------
    megajansky_per_sr : float, optional
        MJy/sr of one DN/s (``PHOTMJSR``).
    flam : float, optional
        erg/s/cm2/Angstrom of one count per second (``PHOTFLAM``).
    pivot : float, optional
        Pivot wavelength, Angstrom (``PHOTPLAM``).
    fnu : float, optional
        Jy of one count per second (``PHOTFNU``).
    ab_zero_point : float, optional
        AB magnitude of one image unit summed over pixels.
    exposure_time : float, optional
        Seconds (``EXPTIME``), for images in counts and not counts per second.
    """

    megajansky_per_sr: float | None = None
    flam: float | None = None
    pivot: float | None = None
    fnu: float | None = None
    ab_zero_point: float | None = None
    exposure_time: float | None = None


@dataclass(eq=False)
class ImageSource:
    """Planes and facts of one filter, nothing converted yet.

    A plane is anything 2-D with ``shape`` that takes a pair of slices and gives
    numbers: an array, an HDF5 dataset, the section of a FITS image. All planes
    have the shape of ``data``.

    Parameters
    ----------
    name : str or None
        The filter; None where nothing tells.
    where : str
        What messages call it: file and extension.
    data : plane
    err : plane, optional
        1-sigma error in ``unit``.
    variances : sequence of planes, optional
        Independent parts of the variance, in ``unit`` squared.
    weight : plane, optional
        Weight map: inverse variance, or something that grows with it. Where it
        is not positive there are no data.
    dq : plane of int, optional
        Data quality bits.
    mask : plane, optional
        Nonzero = bad.
    wcs : object, optional
        `astropy.wcs.WCS`, or any other WCS that follows APE 14 (gwcs).
    wcs_note : str, optional
        What to add where a WCS is missing: how to get one.
    unit : str, optional
        None where nothing tells.
    pixel_scale : float, optional
        Side of a pixel (arcsec), where something else than the WCS tells.
    calibration : Calibration, optional
    psf : tuple of (2-D array, int), optional
        PSF and its oversampling, where the file carries it.
    origin : tuple of int, optional
        (x, y) in the input frame of the first pixel, for images that were cut
        before.
    zero_is_no_data : bool, optional
        Whether pixels that are exactly 0 may be filled ones.

    Raises
    ------
    InputError
        If the data are boolean.
    """

    name: str | None
    where: str
    data: Any
    err: Any = None
    variances: tuple = ()
    weight: Any = None
    dq: Any = None
    mask: Any = None
    wcs: Any = None
    wcs_note: str = ""
    unit: str | None = None
    pixel_scale: float | None = None
    calibration: Calibration = field(default_factory=Calibration)
    psf: tuple | None = None
    origin: tuple = (0, 0)
    zero_is_no_data: bool = True

    def __post_init__(self):
        kind = getattr(getattr(self.data, "dtype", None), "kind", "f")
        if kind == "b":
            raise InputError(f"{self.where} must hold numbers, got true and false: it is a mask")

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the planes."""
        return tuple(self.data.shape)

    @property
    def has_error(self) -> bool:
        """Whether errors come with the image, weights aside."""
        return self.err is not None or bool(self.variances)
