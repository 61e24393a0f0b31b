"""Records shared by all layers: frozen dataclasses, no behaviour to speak of.

Positions are 0-based pixels with pixel centres at integers, in the frame of
the crop unless said otherwise; angles are radians counter-clockwise from +x;
errors are 1 sigma. An error that is not known is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import nan

import numpy as np

from galstep.pixel_map import PixelMap

__all__ = [
    "Aperture",
    "ApertureFlux",
    "BandFit",
    "ForcedStars",
    "Injections",
    "JointSummary",
    "PsfCorrection",
    "PsfKernel",
    "Registration",
    "SersicFit",
    "SersicParams",
    "SkyModel",
    "StarList",
]


@dataclass(frozen=True)
class SersicParams:
    """Shape and place of a Sersic profile; names as astropy's ``Sersic2D``.

    ``r_eff`` is the semi-major half-light radius (pixels), ``ellip`` is
    1 - b/a, ``theta`` the angle of the major axis. The flux is per filter and
    not part of it.
    """

    x_0: float
    y_0: float
    r_eff: float
    n: float
    ellip: float
    theta: float

    def to_vector(self) -> np.ndarray:
        """(x_0, y_0, ln r_eff, e1, e2, ln n): the parameters that are fitted.

        ``(e1, e2) = (1-q)/(1+q) (cos 2 theta, sin 2 theta)`` has neither a
        branch cut in the angle nor a singularity at q = 1.
        """
        e = self.ellip / (2.0 - self.ellip)
        return np.array(
            [
                self.x_0,
                self.y_0,
                np.log(self.r_eff),
                e * np.cos(2 * self.theta),
                e * np.sin(2 * self.theta),
                np.log(self.n),
            ]
        )

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> SersicParams:
        """The inverse of `to_vector`; ``theta`` in [0, pi)."""
        x_0, y_0, ln_r, e1, e2, ln_n = (float(v) for v in vector)
        e = np.hypot(e1, e2)
        theta = 0.5 * np.arctan2(e2, e1) % np.pi
        return cls(x_0, y_0, np.exp(ln_r), np.exp(ln_n), 2 * e / (1 + e), theta)

    def moved(self, dx: float, dy: float) -> SersicParams:
        """The same profile, its centre moved by (dx, dy) pixels."""
        return replace(self, x_0=self.x_0 + dx, y_0=self.y_0 + dy)


@dataclass(frozen=True)
class SersicFit:
    """A fitted Sersic component in one filter.

    ``flux`` is the total to infinity in image unit x pixel. ``covariance`` is
    that of (x_0, y_0, ln r_eff, e1, e2, ln n, flux), NaN rows for parameters
    that were pinned and have no error of their own. ``galaxy_id`` says whose
    profile it is: 0 the target's, 1 and up those of its companions.
    """

    params: SersicParams
    flux: float
    flux_err: float = nan
    x_0_err: float = nan
    y_0_err: float = nan
    r_eff_err: float = nan
    n_err: float = nan
    ellip_err: float = nan
    theta_err: float = nan
    covariance: np.ndarray | None = None
    galaxy_id: int = 0


@dataclass(frozen=True)
class SkyModel:
    """A polynomial sky: sum of coefficients over u^i v^j, i + j <= order.

    u = (x - x_ref) / scale, v = (y - y_ref) / scale; terms in the order
    1, u, v, u^2, uv, v^2. ``level`` is the sky at the galaxy's centre and
    ``level_err`` its error (image units).
    """

    coefficients: tuple
    order: int
    x_ref: float
    y_ref: float
    scale: float
    level: float = nan
    level_err: float = nan


@dataclass(frozen=True)
class StarList:
    """Point-like sources in one filter: arrays of equal length, the crop's pixels.

    ``flux`` is the total (a star of flux F sums to F over the plane) in image
    unit x pixel; it may be negative. ``flags`` are `galstep.flags.StarFlag`.
    ``group_id`` numbers the groups of stars that stand close together from 1,
    ``group_size`` is how many are in the star's group; 0 where nobody looked.
    ``star_probability`` is that of being a star of the frame rather than a piece of
    a galaxy (`galstep.core.population.membership`); 1 where no galaxy is near, or nobody
    looked. ``blend_err`` is the part of ``flux_err`` that stands for fainter stars too close
    to be told (`galstep.core.measurement.blend_errors`); 0 where nobody looked.
    """

    star_id: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    flux_err: np.ndarray
    chi2_reduced: np.ndarray
    flags: np.ndarray
    group_id: np.ndarray = None
    group_size: np.ndarray = None
    star_probability: np.ndarray = None
    blend_err: np.ndarray = None

    def __post_init__(self):
        for name in ("group_id", "group_size"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(len(self.x), dtype=int))
        if self.star_probability is None:
            object.__setattr__(self, "star_probability", np.ones(len(self.x)))
        if self.blend_err is None:
            object.__setattr__(self, "blend_err", np.zeros(len(self.x)))

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def empty(cls) -> StarList:
        """A list without stars."""
        none, numbers = np.zeros(0), np.zeros(0, int)
        return cls(numbers, none, none, none, none, none, none, none, numbers)

    def joined(self, other: StarList) -> StarList:
        """These sources and then those of another list."""
        names = self.__dataclass_fields__
        return type(self)(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names)
        )

    def select(self, keep: np.ndarray) -> StarList:
        """The stars where ``keep`` (boolean or index array) says so."""
        return type(self)(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class PsfCorrection:
    """What is added to library PSF and kernel because the stars show it.

    ``coefficients`` are those of the modes of `galstep.core.psf.modes`, of scale
    ``scale`` (pixels): 0.01 is a change by 1 % of the PSF. ``gain`` is by how much
    chi2 fell on stars that were not used, ``gain_err`` the scatter of that.
    """

    scale: float
    coefficients: tuple
    gain: float = nan
    gain_err: float = nan


@dataclass(frozen=True)
class PsfKernel:
    """What the library PSF is convolved with to give the effective PSF.

    ``family`` and its ``parameters``, in native pixels (of the image, not
    oversampled):

    ============  ==========================================================
    none          () : the library PSF as it is
    gaussian      (sigma^2,)
    elliptical    (sigma_xx, sigma_xy, sigma_yy): a Gaussian's covariance
    moffat        (ln alpha, ln (beta - 1))
    drizzle       (sigma^2, width): square top-hat of that side (x) Gaussian
    ============  ==========================================================

    ``errors`` are 1 sigma of the parameters; one that was given has none, or 0.
    Where stars showed that there is no kernel it is that of its variance (px^2).
    ``covariance`` is that of the parameters that were fitted, the first ones,
    row after row; () if the errors are not correlated. ``fwhm`` is that of the
    effective PSF (pixels), ``n_anchors`` the number of stars it was measured
    from, ``reason`` says in words why it is not a plain measurement ("" if it
    is). ``correction`` is added after the convolution; None: nothing is.
    """

    family: str = "none"
    parameters: tuple = ()
    errors: tuple = ()
    fwhm: float = nan
    n_anchors: int = 0
    flags: int = 0
    reason: str = ""
    covariance: tuple = ()
    correction: PsfCorrection | None = None


@dataclass(frozen=True)
class BandFit:
    """The result of the last fit step in one filter.

    ``noise_corr`` is the quoted error of the galaxy's flux over the error that
    white noise of the same pixel scatter would give (1 = white). ``step`` is
    the key of the step (``"basefit"`` ...); ``reason`` explains ``flags``.
    ``offset`` is the registration of this filter against the base, pixels of the
    base. ``sersic`` holds the profiles of all galaxies, the target's first (`target`,
    `companions`). ``flux`` is the total of the target's components; ``total_flux`` adds its
    ``knots``, sources that are point-like and count as its light, which together hold
    ``knot_flux``; its error knows what the division into stars and knots cannot know, and
    what no profile knows of the wings, which ``flux_err``, that along the profiles, does not.
    ``stars`` lists stars only. ``core_star_share`` is the light of the point-like sources
    within the galaxy beyond what the rest of the frame predicts, over the total:
    ``n_core_found`` were found there, ``n_core_expected`` are (NaN where nobody looked).
    ``matched_flux`` is what of ``flux`` lies inside the half-light ellipse of the base
    filter, of semi-major axis ``matched_radius`` (pixels of the base), before the PSF.
    ``pixel_map`` leads from the pixels of the base filter's crop, where the scene is, to those
    of this filter; with the registration the scene's position s lands on
    pixel_map(s + offset).
    """

    step: str
    sersic: tuple
    sky: SkyModel
    stars: StarList
    chi2_reduced: float = nan
    noise_corr: float = nan
    noise_sigma: float = nan
    offset: tuple = (0.0, 0.0)
    offset_err: tuple = (nan, nan)
    n_iterations: int = 0
    flags: int = 0
    reason: str = ""
    flux: float = nan
    flux_err: float = nan
    matched_flux: float = nan
    matched_flux_err: float = nan
    matched_radius: float = nan
    pixel_map: PixelMap = PixelMap()
    knots: StarList = field(default_factory=StarList.empty)
    total_flux: float = nan
    total_flux_err: float = nan
    knot_flux: float = 0.0
    core_star_share: float = nan
    n_core_found: int = 0
    n_core_expected: float = nan

    @property
    def sources(self) -> StarList:
        """All point-like sources of the fit: stars and knots, by their numbers."""
        if not len(self.knots):
            return self.stars
        joined = self.stars.joined(self.knots)
        return joined.select(np.argsort(joined.star_id, kind="stable"))

    @property
    def target(self) -> tuple:
        """The components of the target, `SersicFit` each."""
        return tuple(fit for fit in self.sersic if fit.galaxy_id == 0)

    @property
    def companions(self) -> tuple:
        """The profiles of all other galaxies, `SersicFit` each."""
        return tuple(fit for fit in self.sersic if fit.galaxy_id != 0)


@dataclass(frozen=True)
class ForcedStars:
    """Forced photometry in one filter: an entry for every position that was given.

    Arrays of equal length in the order given, the crop's pixels. ``name`` is the
    catalogue's own id ("" where it has none), ``star_id`` the number of the star
    in the star list, -1 for a position that could not enter the fit. ``x_given``
    ... are the positions as they were asked for, ``x`` ... where the star was
    measured; flux and error are NaN where there are no data. ``flux_limit`` is
    max(flux, 0) + ``n_sigma`` errors where the flux is below so many errors, else
    NaN. ``mode`` and ``source`` say how it was fitted and where the positions are
    from. ``flags`` are `galstep.flags.StarFlag`.
    """

    name: tuple
    star_id: np.ndarray
    x_given: np.ndarray
    y_given: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    flux_err: np.ndarray
    flux_limit: np.ndarray
    chi2_reduced: np.ndarray
    flags: np.ndarray
    n_sigma: float = 3.0
    mode: str = "linear"
    source: str = ""

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class Registration:
    """How a filter lies against the base filter, measured from stars alone.

    The scene's position s lands on pixel_map(s + ``offset``), as in `BandFit`,
    pixels of the base; ``offset`` holds at the middle of the frame. Where
    the WCS was corrected it is what is left: zero, with its error. ``rotation``
    (radians, counter-clockwise) and ``scale`` turn the base into this filter.
    ``rms`` is that of the matched stars on one axis (pixels). ``status`` is
    reference, aligned or failed, with a ``reason``.
    """

    status: str
    offset: tuple = (0.0, 0.0)
    offset_err: tuple = (nan, nan)
    rotation: float = 0.0
    scale: float = 1.0
    n_stars: int = 0
    n_matches: int = 0
    rms: float = nan
    reason: str = ""


@dataclass(frozen=True)
class JointSummary:
    """What the joint fit knows beyond the single filters.

    ``flux_covariance`` is that of the total galaxy fluxes in the order of
    ``filters`` (image unit x pixel, squared), cross terms included: colours
    need them. ``matched_covariance`` is the same of the fluxes inside the base
    filter's half-light ellipse. ``shape_freedom`` says which shape parameters
    change with wavelength, ``n_components`` how many profiles the galaxy has.
    """

    filters: tuple
    flux_covariance: np.ndarray
    chi2: float = nan
    n_iterations: int = 0
    n_passes: int = 0
    matched_covariance: np.ndarray | None = None
    shape_freedom: str = "pinned"
    n_components: int = 1


@dataclass(frozen=True)
class Aperture:
    """An elliptical aperture: centre, semi-axes (pixels) and angle (radians)."""

    x: float
    y: float
    a: float
    b: float
    theta: float


@dataclass(frozen=True)
class ApertureFlux:
    """Photometry of one filter in one aperture, image unit x pixel.

    ``flux`` is what is left of the data after sky and stars, summed over the
    exact overlap of ``aperture``. ``flux_err`` adds ``noise_err`` (pixels, with
    the correlation of their noise), ``sky_err``, ``star_err``, ``model_err`` and
    ``fill_err`` in quadrature. ``psf_correction`` (mag) is added to the magnitude
    to bring it to the PSF of the correction's base filter, as which the galaxy
    has ``flux_corr``; ``covariance`` is that of ``flux_corr`` with those of the
    other filters, by name. ``frac_enclosed`` is the share of the model galaxy's
    total light that the aperture holds in this filter. ``kind`` says what the
    aperture is (petrosian, kron, ellipse, circle); ``others`` are further
    apertures. ``extra``: masked_fraction, off_frame_fraction (of the aperture's
    area), sky_level, sky_level_err (mean of empty apertures, image unit),
    n_sky_apertures, sky_aperture_scale.
    """

    aperture: Aperture
    flux: float
    flux_err: float = nan
    noise_err: float = nan
    sky_err: float = nan
    star_err: float = nan
    model_err: float = nan
    fill_err: float = nan
    psf_correction: float = nan
    psf_correction_err: float = nan
    flux_corr: float = nan
    flux_corr_err: float = nan
    covariance: dict = field(default_factory=dict)
    frac_enclosed: float = nan
    petrosian_radius: float = nan
    kind: str = "petrosian"
    flags: int = 0
    reason: str = ""
    others: tuple = ()
    extra: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Injections:
    """Sources of known flux put into the real image and measured again.

    Arrays of equal length, an entry per source and filter. ``kind`` is "galaxy"
    or "star"; ``found`` 1 where it was measured. ``x_true`` ... are what was put
    in, in the pixels of the filter's crop, ``x``, ``x_err`` ... what was measured. A star
    has a flux and a position only; what is not known is NaN. Pulls are (measured -
    true) / error: of ln r_eff, of ln n, and of the component of (e1, e2) along
    the true one. ``snr`` is the true flux over the error: of a galaxy the one
    quoted, of a star that of a faint star in the frame. ``isolated`` is 1 for a star
    without a neighbour that matters. ``flags`` are `galstep.flags.BandFlag` of a galaxy's fit, or
    `galstep.flags.StarFlag`. ``summary`` has the statistics, by filter.
    """

    kind: tuple
    number: np.ndarray
    filter: tuple
    found: np.ndarray
    isolated: np.ndarray
    snr: np.ndarray
    x_true: np.ndarray
    x: np.ndarray
    x_err: np.ndarray
    y_true: np.ndarray
    y: np.ndarray
    y_err: np.ndarray
    flux_true: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    r_eff_true: np.ndarray
    r_eff: np.ndarray
    r_eff_err: np.ndarray
    n_true: np.ndarray
    n: np.ndarray
    n_err: np.ndarray
    ellip_true: np.ndarray
    ellip: np.ndarray
    ellip_err: np.ndarray
    color_true: np.ndarray
    color: np.ndarray
    color_err: np.ndarray
    pull_flux: np.ndarray
    pull_r_eff: np.ndarray
    pull_n: np.ndarray
    pull_ellip: np.ndarray
    pull_color: np.ndarray
    flags: np.ndarray
    summary: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kind)
