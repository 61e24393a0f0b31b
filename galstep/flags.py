"""Bit flags of the products: names, texts, decoding.

Three registries: `BandFlag` for a filter of the galaxy (tables ``_sersic`` and
``_phot``), `StarFlag` for a star in a filter (table ``_stars``), `FieldFlag` for a
source of a field (table ``_field``). The numbers are part of the products: a bit is
never given a second meaning.
"""

from __future__ import annotations

from enum import IntFlag

__all__ = ["UNRELIABLE", "BandFlag", "FieldFlag", "StarFlag", "decode"]


class _DescribedFlag(IntFlag):
    """An ``IntFlag`` whose members carry a sentence in ``text``."""

    text: str

    def __new__(cls, value, text=""):
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class BandFlag(_DescribedFlag):
    """What can be said of the measurement in one filter."""

    NO_DATA = 1, "no usable pixels in this filter; nothing was measured"
    NOT_FITTED = 2, "the fit of this filter failed; see the reason"
    NOT_CONVERGED = 4, "the fit stopped before it converged"
    AT_BOUND = 8, "a shape parameter ended at its bound"
    GALAXY_MASKED = 16, "more than a tenth of the pixels inside 2 r_eff are masked"
    FAINT = 32, "flux below five times its error, also inside the half-light ellipse: a limit"
    PSF_NOT_CALIBRATED = 64, "no kernel could be measured: PSF used as given"
    PSF_FROM_PRIOR = 128, "kernel taken from the prior or another filter"
    PSF_CONFUSED = 256, "kernel grows with the radius fitted: crowding, not PSF"
    STARS_LIMITED = 512, "the star list reached its density bound"
    APERTURE_FILLED = 1024, "masked pixels in the aperture were filled"
    APERTURE_TRUNCATED = 2048, "the aperture reaches over the edge or has too few pixels"
    NO_APERTURE = 4096, "no aperture photometry could be made"
    SKY_UNCERTAIN = 8192, "sky error exceeds a tenth of the flux inside the aperture"
    ERRORS_UNCERTAIN = 16384, "the noise covariance could not be measured; white errors"
    CORE_CROWDED = 32768, "stars within 1.5 r_eff hold more light than the galaxy does there"
    NOT_ALIGNED = 65536, "TweakReg could not align this filter; see the reason"
    DISTORTED = 131072, "pixels not affine to the base filter's: positions off by more than 0.02"
    BAD_PIXELS = 262144, "pixels that no light can make were found and masked"
    PSF_BOOTSTRAPPED = 524288, "no isolated star: the kernel is the best of a grid of widths"
    KNOTS = 1048576, "point-like light beyond the frame's stars counts as the galaxy's: see knots"
    STARS_UNCERTAIN = (
        2097152,
        "which point-like sources are stars and which the galaxy's is open; total_flux_err has it",
    )
    COMPANIONS = 4194304, "another galaxy was found within the target's reach and fitted with it"
    PSF_TOO_BROAD = (
        8388608,
        "the stars are narrower than the PSF: wrong PSF or oversample",
    )
    UNRESOLVED = 16777216, "no wider than a star: a star may have been measured as a galaxy"
    SATURATED = 33554432, "pixels cut off at one value were found and masked"
    ELSEWHERE = 67108864, "the galaxy ended far from where it was looked for: another one, perhaps"


class StarFlag(_DescribedFlag):
    """What can be said of one star in one filter."""

    NEAR_EDGE = 1, "within one FWHM of the edge of the data"
    MASKED_PIXELS = 2, "masked pixels within one FWHM"
    BLENDED = 4, "another star within one FWHM"
    IN_CORE = 8, "within one r_eff of the galaxy's centre"
    NEGATIVE = 16, "flux below zero in this filter"
    NO_DATA = 32, "no usable pixels under the star in this filter"
    POOR_FIT = 64, "reduced chi2 inside one FWHM above 3"
    FORCED = 128, "position taken from another filter and held"
    MOVED = 256, "the position ended more than one pixel from its detection"
    OFF_FRAME = 512, "centre outside the frame; what there is of it are its wings"
    CORE_MASKED = 1024, "the pixel at the centre is masked (saturated, say); the rest is fitted"
    CLOSE_PAIR = 2048, "another star within half a FWHM: the errors of the two are correlated"
    ON_CORE = 4096, "within half a FWHM of the galaxy's centre, whose peak it shares"
    DUPLICATE = 8192, "another given position within 0.1 FWHM: one flux for both, in each row"
    UPPER_LIMIT = 16384, "flux below the limit's number of errors; see flux_limit"
    AT_BOUND = 32768, "the position ended at the largest distance allowed from the given one"
    CROWDED_GROUP = 65536, "in a group of more stars than PSFPhotometry_group_warning_threshold"
    PAIR = 131072, "longer than the PSF, or elsewhere in each filter: two stars, most likely"


class FieldFlag(_DescribedFlag):
    """What can be said of one source of a field."""

    CROPPED = 1, "outside the part of the image that is used; not fitted"
    SATURATED = 2, "saturated pixels near the source in a band; its flux comes from the rest"
    EXCLUDED = 4, "not fitted: see the issues"
    IN_BRIGHT_MASK = 8, "under the mask of bright light that no source of the catalogue explains"
    AT_BOUND = 16, "a parameter ended at a bound: see at_bound"
    NOT_CONVERGED = 32, "still moving by more than a third of an error when the fit stopped"
    FAILED = 64, "the fit of its block failed: start values, see the issues"
    PSF_FALLBACK = 128, "too few stars for the PSF of a band: a Moffat stands for it"
    ADDED = 256, "not in the input catalogue: found in the image"
    NO_DATA = 512, "no usable pixel in a band; the flux there is not known"
    MOSTLY_MASKED = 1024, "more than half of its light falls on masked pixels in a band"
    BLENDED = 2048, "shares more than a fifth of its light with a neighbour: see blend"
    TYPE_CHOSEN = 4096, "the type was chosen by the fit: see type_chi2"
    SHAPE_FROM_PRIOR = 8192, "too faint for a shape of its own: the broad priors hold it"
    POOR_FIT = 16384, "reduced chi2 of its own pixels above 1.5 in a band"
    REFERENCE = 32768, "taken from the reference catalogue"
    NO_POSITION = 65536, "its row has no usable position: not fitted"
    HELD = 131072, "position or shape was held (forced): only what is left was fitted"
    DUPLICATE = 262144, "a row of the same position stands above it: only that one is fitted"


#: Flags of a source whose numbers are not to be used without a look.
UNRELIABLE = (
    FieldFlag.CROPPED
    | FieldFlag.SATURATED
    | FieldFlag.EXCLUDED
    | FieldFlag.IN_BRIGHT_MASK
    | FieldFlag.AT_BOUND
    | FieldFlag.NOT_CONVERGED
    | FieldFlag.FAILED
    | FieldFlag.MOSTLY_MASKED
    | FieldFlag.POOR_FIT
    | FieldFlag.NO_POSITION
    | FieldFlag.DUPLICATE
)


def decode(value: int, registry: type[IntFlag] = BandFlag) -> list[str]:
    """Names of the bits that are set.

    Parameters
    ----------
    value : int
        The bits.
    registry : type, optional
        `BandFlag` (default), `StarFlag` or `FieldFlag`.

    Returns
    -------
    list of str
        Lower-case names in order of the bits; empty for 0.

    Raises
    ------
    ValueError
        If ``value`` is negative or has a bit that the registry lacks.
    """
    value = int(value)
    known = sum(int(member) for member in registry)
    if value < 0 or value & ~known:
        raise ValueError(
            f"value must hold bits of {registry.__name__} only (sum {known}), got {value}"
        )
    return [member.name.lower() for member in registry if value & member]
