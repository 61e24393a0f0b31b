"""What travels between the steps: `GalaxyModel`, its readers and its writers.

======================  ===================================================
``galaxy``, ``band``    `GalaxyModel`, `Meta` and `BandData`
``open``                one door for every kind of input
``hdf5_input``          images: HDF5
``fits_input``          images: FITS; ``fits_header`` its keywords
``mosaic_asdf``         images: mosaics of the Roman telescope
``duck_models``         images: models of jwst and romancal
``duck_nddata``         images: ``NDData``, ``CCDData``, arrays
``image_source``        what all these readers make
``mosaic_cut``          where a sky position lies, and the part about it
``calibration``         units and keywords to MJy/sr
``weights``             weight maps to errors
``assemble``            all that to a `BandData`
``psf_input``           PSFs of every kind; ``psf_library`` HDF5, ``psf_fits``,
                        ``psf_models`` those of photutils
``asdf_io``             the product ``<name>_gal.asdf``, written and read
``hdf5_output``         the same as HDF5, in the layout of sphot
``columns``             name, unit and text of every table column
``tables``, ``products``  the tables, and everything written beside the model
======================  ===================================================
"""

from galstep.datamodels.galaxy import GalaxyModel, Meta
from galstep.datamodels.model.band import BandData

__all__ = ["BandData", "GalaxyModel", "Meta"]
