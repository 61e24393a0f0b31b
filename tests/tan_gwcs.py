"""A tangential gwcs, as mosaics of jwst and romancal have."""

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS
from astropy.modeling import models
from gwcs import WCS
from gwcs import coordinate_frames as cf


def make_gwcs(ra, dec, x, y, pixel_scale, shape):
    """North up, east to the left, (ra, dec) at pixel (x, y)."""
    step = pixel_scale / 3600
    transform = (
        models.Shift(-x) & models.Shift(-y)
        | models.Scale(-step) & models.Scale(step)
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(ra, dec, 180)
    )
    detector = cf.Frame2D(name="detector", axes_names=("x", "y"), unit=(u.pix, u.pix))
    sky = cf.CelestialFrame(reference_frame=ICRS(), name="world", unit=(u.deg, u.deg))
    wcs = WCS([(detector, transform), (sky, None)])
    ny, nx = shape
    wcs.bounding_box = ((-0.5, nx - 0.5), (-0.5, ny - 0.5))
    wcs.array_shape = shape
    return wcs


def put_parameters(folder, psf_file, **loadcrop):
    """The parameter file that the hooks look for."""
    settings = ", ".join(f"{k}: {v}" for k, v in {"psf_file": psf_file, **loadcrop}.items())
    (folder / "gal_pipeline.asdf").write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: gal_pipeline\nname: GalPipeline\n"
        "parameters: {qa_figure: false}\nsteps:\n"
        f"- {{class: gal_loadcrop, name: loadcrop, parameters: {{{settings}}}}}\n...\n"
    )


def measured_flux(path, name):
    """Total flux and its error in a product."""
    from galstep.datamodels import GalaxyModel

    fit = GalaxyModel.open(path).bands[name].fit.sersic[0]
    return np.array([fit.flux, fit.flux_err])
