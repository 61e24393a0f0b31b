"""Records shared by all layers: frozen dataclasses, no behaviour to speak of.

Positions are 0-based pixels with pixel centres at integers, in the frame of
the crop unless said otherwise; angles are radians counter-clockwise from +x;
errors are 1 sigma. An error that is not known is NaN, never 0.
"""

from dataclasses import dataclass, field, replace
from math import nan

import numpy as np

__all__ = [
    "Aperture",
    "ApertureFlux",
    "BandFit",
    "JointSummary",
    "PsfKernel",
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

    def to_vector(self):
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
    def from_vector(cls, vector):
        """The inverse of `to_vector`; ``theta`` in [0, pi)."""
        x_0, y_0, ln_r, e1, e2, ln_n = (float(v) for v in vector)
        e = np.hypot(e1, e2)
        theta = 0.5 * np.arctan2(e2, e1) % np.pi
        return cls(x_0, y_0, np.exp(ln_r), np.exp(ln_n), 2 * e / (1 + e), theta)

    def moved(self, dx, dy):
        """The same profile, its centre moved by (dx, dy) pixels."""
        return replace(self, x_0=self.x_0 + dx, y_0=self.y_0 + dy)


@dataclass(frozen=True)
class SersicFit:
    """A fitted Sersic component in one filter.

    ``flux`` is the total to infinity in image unit x pixel. ``covariance`` is
    that of (x_0, y_0, ln r_eff, e1, e2, ln n, flux), NaN rows for parameters
    that were pinned and have no error of their own.
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
    """Stars in one filter: arrays of equal length, the crop's pixels.

    ``flux`` is the total (a star of flux F sums to F over the plane) in image
    unit x pixel; it may be negative. ``flags`` are `galstep.flags.StarFlag`.
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

    def __len__(self):
        return len(self.x)

    @classmethod
    def empty(cls):
        """A list without stars."""
        return cls(np.zeros(0, int), *(np.zeros(0) for _ in range(7)), np.zeros(0, int))

    def select(self, keep):
        """The stars where ``keep`` (boolean or index array) says so."""
        return type(self)(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


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

    ``errors`` are 1 sigma of the parameters. ``fwhm`` is that of the effective
    PSF (pixels), ``n_anchors`` the number of stars it was measured from,
    ``reason`` says in words why it is not a plain measurement ("" if it is).
    """

    family: str = "none"
    parameters: tuple = ()
    errors: tuple = ()
    fwhm: float = nan
    n_anchors: int = 0
    flags: int = 0
    reason: str = ""


@dataclass(frozen=True)
class BandFit:
    """The result of the last fit step in one filter.

    ``noise_corr`` is the quoted error of the galaxy's flux over the error that
    white noise of the same pixel scatter would give (1 = white). ``step`` is
    the key of the step (``"basefit"`` ...); ``reason`` explains ``flags``.
    ``offset`` is the registration of this filter against the base: where the
    scene's (x, y) lands is (x, y) + offset, pixels.
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


@dataclass(frozen=True)
class JointSummary:
    """What the joint fit knows beyond the single filters.

    ``flux_covariance`` is that of the total galaxy fluxes in the order of
    ``filters`` (image unit x pixel, squared), cross terms included: colours
    need them.
    """

    filters: tuple
    flux_covariance: np.ndarray
    chi2: float = nan
    n_iterations: int = 0
    n_passes: int = 0


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
    """Aperture photometry of one filter, image unit x pixel.

    ``flux`` is what is left of the data after sky and stars, summed over the
    exact overlap of ``aperture``. ``flux_err`` adds pixel noise, sky and star
    terms. ``psf_correction`` (mag) is added to the magnitude to bring it to
    the PSF of the correction's base filter; ``frac_enclosed`` is the share of
    the model galaxy's total light that the aperture holds in this filter.
    """

    aperture: Aperture
    flux: float
    flux_err: float = nan
    psf_correction: float = nan
    psf_correction_err: float = nan
    frac_enclosed: float = nan
    petrosian_radius: float = nan
    flags: int = 0
    reason: str = ""
    extra: dict = field(default_factory=dict)
