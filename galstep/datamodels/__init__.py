"""What travels between the steps: `GalaxyModel`, its readers and its writers.

======================  ===================================================
``galaxy``, ``band``    `GalaxyModel`, `Meta` and `BandData`
``open``                one door for every kind of input
``hdf5_input``          the image file: a dataset per filter
``psf_library``         the PSF file that goes with it
``asdf_io``             the product ``<name>_gal.asdf``, written and read
``hdf5_output``         the same as HDF5, in the layout of sphot
``columns``             name, unit and text of every table column
``tables``, ``products``  the tables, and everything written beside the model
======================  ===================================================
"""

from galstep.datamodels.band import BandData
from galstep.datamodels.galaxy import GalaxyModel, Meta

__all__ = ["BandData", "GalaxyModel", "Meta"]
