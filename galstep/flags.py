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
    """An ``IntFlag`` whose members carry a sentence in ``text`` and what to do in ``remedy``."""

    text: str
    remedy: str

    def __new__(cls, value, text="", remedy=""):
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        member.remedy = remedy
        return member


# What can be done about it stands beside what it is: log, documentation and report take both
# from here. A remedy names parameters as ``step.parameter`` (tests/test_flags.py looks them up)
# and columns as the tables have them.
class BandFlag(_DescribedFlag):
    """What can be said of the measurement in one filter."""

    NO_DATA = (
        1,
        "no usable pixels in this filter; nothing was measured",
        "look at its image and mask, and at loadcrop.ra, dec, size; loadcrop.filters leaves it out",
    )
    NOT_FITTED = (
        2,
        "the fit of this filter failed; see the reason",
        "loadcrop.x_guess and loadcrop.y_guess say where the galaxy is; basefit.raise_error = true "
        "stops at the cause",
    )
    NOT_CONVERGED = (
        4,
        "the fit stopped before it converged",
        "basefit.allow_refit = true tries other starts, basefit.PSFPhotometry_fitter_maxiters "
        "allows more steps",
    )
    AT_BOUND = (
        8,
        "a shape parameter ended at its bound",
        "use the half-light magnitude (matched_mag_ab) or kron_mag_ab; r_eff: the galaxy fills its "
        "frame, cut a larger one (loadcrop.size, loadcrop.auto_crop_factor); n: "
        "basefit.fit_complex_model = true; or a prior, basefit.prior_r_eff, basefit.prior_n",
    )
    GALAXY_MASKED = (
        16,
        "more than a tenth of the pixels inside 2 r_eff are masked",
        "the model fills the gap; look at the mask (loadcrop.bad_dq_bits, mask_regions)",
    )
    FAINT = (
        32,
        "flux below five times its error, also inside the half-light ellipse: a limit",
        "total_mag_ab_limit is the number to use; a shape known from elsewhere helps: "
        "basefit.prior_r_eff, prior_n, prior_ellip",
    )
    PSF_NOT_CALIBRATED = (
        64,
        "no kernel could be measured: PSF used as given",
        "a larger cutout has more stars (loadcrop.size); a width that is known goes into "
        "psfcalibrate.blur_psf",
    )
    PSF_FROM_PRIOR = (
        128,
        "kernel taken from the prior or another filter",
        "a larger cutout has more stars (loadcrop.size); a width that is known goes into "
        "psfcalibrate.blur_psf",
    )
    PSF_CONFUSED = (
        256,
        "kernel grows with the radius fitted: crowding, not PSF",
        "compare psf_fwhm with the instrument's; psfcalibrate.blur_psf gives a width that is known",
    )
    STARS_LIMITED = (
        512,
        "the star list reached its density bound",
        "basefit.star_density raises it, if the stars are real; if not, a higher basefit.th_min",
    )
    APERTURE_FILLED = (
        1024,
        "masked pixels in the aperture were filled",
        "fill_err has its share; aperphot.fill_replace_with = sersic_modelimg fills by the model",
    )
    APERTURE_TRUNCATED = (
        2048,
        "the aperture reaches over the edge or has too few pixels",
        "total_flux needs no aperture; a larger cutout (loadcrop.size, min_crop_size), or a "
        "smaller aperture: aperphot.petro larger",
    )
    NO_APERTURE = (
        4096,
        "no aperture photometry could be made",
        "total_flux needs none; aperphot.radii or circles give apertures of a size of your own",
    )
    SKY_UNCERTAIN = (
        8192,
        "sky error exceeds a tenth of the flux inside the aperture",
        "a larger cutout (loadcrop.size), a smaller aperture (aperphot.petro larger); total_flux "
        "has its own sky",
    )
    ERRORS_UNCERTAIN = (
        16384,
        "the noise covariance could not be measured; white errors",
        "errors are too small where noise is correlated; a larger cutout, or an error plane",
    )
    CORE_CROWDED = (
        32768,
        "stars within 1.5 r_eff hold more light than the galaxy does there",
        "look whether the stars are the galaxy's own pieces; the error does not cover a missed "
        "star: inject measures it (inject.skip = false)",
    )
    NOT_ALIGNED = (
        65536,
        "TweakReg could not align this filter; see the reason",
        "a larger tweakreg.searchrad, a lower tweakreg.snr_threshold; jointfit.registration "
        "measures small shifts anyway",
    )
    DISTORTED = (
        131072,
        "pixels not affine to the base filter's: positions off by more than 0.02",
        "a smaller cutout (loadcrop.size), or one grid for all: loadcrop.reproject_to",
    )
    BAD_PIXELS = (
        262144,
        "pixels that no light can make were found and masked",
        "nothing, if they are bad; if they are stars: a higher loadcrop.spike_threshold (0: none)",
    )
    PSF_BOOTSTRAPPED = (
        524288,
        "no isolated star: the kernel is the best of a grid of widths",
        "a larger cutout (loadcrop.size), or psfcalibrate.blur_psf if the width is known",
    )
    KNOTS = (
        1048576,
        "point-like light beyond the frame's stars counts as the galaxy's: see knots",
        "nothing, if the picture shows them in the galaxy; knot_flux is their share, _knots lists "
        "them",
    )
    STARS_UNCERTAIN = (
        2097152,
        "which point-like sources are stars and which the galaxy's is open; total_flux_err has it",
        "more filters tell stars by their colours; star_probability in _stars is each one's",
    )
    COMPANIONS = (
        4194304,
        "another galaxy was found within the target's reach and fitted with it",
        "nothing, if it is one; basefit.companions places them, basefit.find_companions = false "
        "looks for none",
    )
    PSF_TOO_BROAD = (
        8388608,
        "the stars are narrower than the PSF: wrong PSF or oversample",
        "check the PSF file and its oversample: loadcrop.psf_file, psf_oversample",
    )
    UNRESOLVED = (
        16777216,
        "no wider than a star: a star may have been measured as a galaxy",
        "look at the picture; loadcrop.x_guess and loadcrop.y_guess, or loadcrop.ra and dec, place "
        "the galaxy",
    )
    SATURATED = (
        33554432,
        "pixels cut off at one value were found and masked",
        "the core is the model's guess; a shorter exposure, if there is one",
    )
    ELSEWHERE = (
        67108864,
        "the galaxy ended far from where it was looked for: another one, perhaps",
        "look at the picture; loadcrop.x_guess and loadcrop.y_guess, place it; "
        "basefit.prior_x_0, prior_y_0 hold it there",
    )
    MODEL_DIFFERS = (
        134217728,
        "the model leaves a tenth of the light in the aperture, or has too much; see aper_flux",
        "take aper_flux; jointfit.shape_freedom=all lets the shape change with wavelength",
    )
    ROUNDED = (
        268435456,
        "numbers rounded to steps wider than the noise: light fainter than a step is lost",
        "the error has it for the model as fitted; an image that was not rounded",
    )


class StarFlag(_DescribedFlag):
    """What can be said of one star in one filter."""

    NEAR_EDGE = (
        1,
        "within one FWHM of the edge of the data",
        "leave it out of what needs good stars",
    )
    MASKED_PIXELS = (
        2,
        "masked pixels within one FWHM",
        "the flux rests on the other pixels; its error says how well",
    )
    BLENDED = 4, "another star within one FWHM", "blend_err is the blend's part of its error"
    IN_CORE = (
        8,
        "within one r_eff of the galaxy's centre",
        "star_probability says how likely it is a star and no piece of the galaxy",
    )
    NEGATIVE = 16, "flux below zero in this filter", "mag_ab_limit is the number to use"
    NO_DATA = (
        32,
        "no usable pixels under the star in this filter",
        "its numbers are NaN; look at the mask",
    )
    POOR_FIT = (
        64,
        "reduced chi2 inside one FWHM above 3",
        "saturated, blended, or no star; leave it out of what needs good stars",
    )
    FORCED = 128, "position taken from another filter and held", "nothing: as it was asked for"
    MOVED = (
        256,
        "the position ended more than one pixel from its detection",
        "a blend, as a rule; look at the residual",
    )
    OFF_FRAME = (
        512,
        "centre outside the frame; what there is of it are its wings",
        "its flux rests on the wings of the PSF",
    )
    CORE_MASKED = (
        1024,
        "the pixel at the centre is masked (saturated, say); the rest is fitted",
        "its flux rests on the wings of the PSF",
    )
    CLOSE_PAIR = (
        2048,
        "another star within half a FWHM: the errors of the two are correlated",
        "use the sum of the two",
    )
    ON_CORE = (
        4096,
        "within half a FWHM of the galaxy's centre, whose peak it shares",
        "star or nucleus: the total of the galaxy changes by its flux",
    )
    DUPLICATE = (
        8192,
        "another given position within 0.1 FWHM: one flux for both, in each row",
        "count it once",
    )
    UPPER_LIMIT = (
        16384,
        "flux below the limit's number of errors; see flux_limit",
        "flux_limit is the number to use; forcedscalefit.n_sigma_limit sets how many errors",
    )
    AT_BOUND = (
        32768,
        "the position ended at the largest distance allowed from the given one",
        "check the catalogue's registration; forcedscalefit.xy_bounds allows more",
    )
    CROWDED_GROUP = (
        65536,
        "in a group of more stars than PSFPhotometry_group_warning_threshold",
        "its error includes its neighbours'; none was dropped",
    )
    PAIR = (
        131072,
        "longer than the PSF, or elsewhere in each filter: two stars, most likely",
        "its flux is that of both",
    )


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
    DUPLICATE = 262144, "the same object as another row, named in the issues: that one is fitted"


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
