"""Stand-ins for the image models of jwst and romancal, and a WCS like gwcs."""

from types import SimpleNamespace

import numpy as np
from astropy.wcs.wcsapi import BaseLowLevelWCS, HighLevelWCSMixin
from mosaics import make_image, make_mosaic_wcs


class Nested(SimpleNamespace):
    """Attributes all the way down, None where there is none, as the nodes of jwst."""

    def __getattr__(self, name):
        if name.startswith("__") or name in ("get", "keys"):
            raise AttributeError(name)
        return None


class LikeGwcs(BaseLowLevelWCS, HighLevelWCSMixin):
    """A WCS that is no `astropy.wcs.WCS`, distorted by ``bend`` pixels at the corners.

    NaN beyond its bounding box, as gwcs has it.
    """

    def __init__(self, fits_wcs, shape, bend=0.0):
        self._fits, self._shape, self._bend = fits_wcs, shape, bend

    pixel_n_dim = world_n_dim = 2
    world_axis_physical_types = ("pos.eq.ra", "pos.eq.dec")
    world_axis_units = ("deg", "deg")

    @property
    def world_axis_object_components(self):
        return self._fits.world_axis_object_components

    @property
    def world_axis_object_classes(self):
        return self._fits.world_axis_object_classes

    def _distortion(self, x, y):
        ny, nx = self._shape
        u, v = 2 * x / nx - 1, 2 * y / ny - 1
        return self._bend * u * v**2, self._bend * v * u**2

    def pixel_to_world_values(self, x, y):
        dx, dy = self._distortion(np.asarray(x, float), np.asarray(y, float))
        return self._fits.pixel_to_world_values(x + dx, y + dy)

    def world_to_pixel_values(self, ra, dec):
        x, y = self._fits.world_to_pixel_values(ra, dec)
        x_0, y_0 = x, y
        for _ in range(30):
            dx, dy = self._distortion(x, y)
            x, y = x_0 - dx, y_0 - dy
        ny, nx = self._shape
        inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
        return np.where(inside, x, np.nan), np.where(inside, y, np.nan)


class ImageModel:
    """As jwst's: says what it has, and makes an array of zeros of what it lacks."""

    def __init__(self, planes, meta):
        self.__dict__.update(planes)
        self.meta = meta
        self.made = []

    def hasattr(self, name):
        return name in self.__dict__

    def __getattr__(self, name):
        if name in ("err", "dq", "wht", "var_poisson", "var_rnoise", "var_flat"):
            self.made.append(name)
            return np.zeros_like(self.data)
        raise AttributeError(name)


def image_model(name="F150W", shape=(80, 100), bend=0.0, **planes):
    """A stand-in for a mosaic of jwst."""
    wcs = make_mosaic_wcs(shape)
    planes = {"data": make_image(shape, wcs).astype("f4"), **planes}
    meta = Nested(
        filename=f"jw01234_{name.lower()}_i2d.fits",
        wcs=LikeGwcs(wcs, shape, bend),
        bunit_data="MJy/sr",
        photometry=Nested(pixelarea_steradians=np.radians(0.04 / 3600) ** 2),
        instrument=Nested(name="NIRCAM", filter=name, pupil="CLEAR"),
        cal_step=Nested(),
    )
    return ImageModel(planes, meta)


def mosaic_model(name="F158", shape=(80, 100)):
    """A stand-in for a mosaic of romancal: mappings with attributes."""
    wcs = make_mosaic_wcs(shape)
    meta = {
        "filename": "r00001_skycell_f158.asdf",
        "wcs": LikeGwcs(wcs, shape),
        "instrument": {"name": "WFI", "optical_element": name},
        "photometry": {"pixelarea_steradians": -999999},
    }
    data = make_image(shape, wcs).astype("f4")
    weight = np.full(shape, 3.0, "f4")
    weight[2] = 0
    return {"meta": meta, "data": data, "err": np.full(shape, 0.02, "f4"), "weight": weight}
