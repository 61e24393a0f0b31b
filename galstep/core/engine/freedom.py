"""What a fit may change, and what is known beforehand of it.

Fluxes and sky are always free. Everything else is a `Freedom`, so that the
one-band fit, the fit with the shape pinned, forced photometry and the joint fit
are the same code.
"""

from dataclasses import dataclass

from galstep.exceptions import ParameterError

__all__ = ["N_SHAPE", "Freedom"]

# x_0, y_0, ln r_eff, e1, e2, ln n
N_SHAPE = 6
# How much a shape parameter may change over a factor e in wavelength, 1 sigma:
# galaxies shrink by some 20 percent and gain as much in n from the visible to
# the near infrared (Kelvin et al. 2012, MNRAS 421, 1007), so that these are wide
# and hold only what the data leave open.
GRADIENT_PRIOR = (1.0, 1.0, 0.4, 0.15, 0.15, 0.5)


@dataclass(frozen=True)
class Freedom:
    """Which non-linear parameters a fit may change, and their priors.

    Priors are Gaussian; lengths are pixels of the scene's frame.

    Parameters
    ----------
    shape : tuple of 6 bool
        Which of x_0, y_0, ln r_eff, e1, e2, ln n.
    positions : bool
        Whether stars move; their prior has width ``position_prior`` (a number,
        or one per star) about where they were detected, which keeps blends from
        sliding away.
    registration : tuple of int
        Indices of the bands whose registration is measured, with a prior of
        width ``registration_prior`` about zero. The band that defines the
        scene's frame must not be among them while positions are free.
    gradient : tuple of 6 int
        Degree of the polynomial in ln(wavelength) by which each shape
        parameter of the target changes from band to band; 0 = one value for all.
        The centre has none: where a band's pixels lie is its registration.
    gradient_prior : tuple of 6 float
        Width of the prior about zero of the polynomials' coefficients.
    shape_priors : tuple of `galstep.core.engine.priors.ShapePrior`
        What is known of the first galaxy.

    Raises
    ------
    ParameterError
        If the centre is given a gradient, or a parameter that is pinned.
    """

    shape: tuple = (True,) * N_SHAPE
    positions: bool = True
    registration: tuple = ()
    position_prior: float = 0.7
    registration_prior: float = 1.0
    gradient: tuple = (0,) * N_SHAPE
    gradient_prior: tuple = GRADIENT_PRIOR
    shape_priors: tuple = ()

    def __post_init__(self):
        if any(self.gradient[:2]):
            raise ParameterError(
                f"gradient of x_0 and y_0 must be 0, got {self.gradient[:2]}: "
                "the centre of a band is its registration"
            )
        if any(degree and not free for degree, free in zip(self.gradient, self.shape, strict=True)):
            raise ParameterError(
                "gradient needs the same shape parameters to be free, got "
                f"gradient {self.gradient} with shape {self.shape}"
            )
