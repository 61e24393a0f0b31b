"""What travels between the steps: `GalaxyModel`, its readers and its writers.

============  ============================================================
``galaxy``    `GalaxyModel`: opens, shows and saves itself
``field``     `~galstep.datamodels.field.field_model.FieldModel`, its images,
              catalogue and files
``sky``       `~galstep.datamodels.sky.sky_image.SkyImage`, lists of images,
              `~galstep.datamodels.sky.star_field_model.StarFieldModel`
``input``     one door for every kind of input of a galaxy
``products``  the product ``<name>_gal.asdf``, and everything beside it
``tables``    columns, tables, magnitudes, flags in words
``catalogs``  catalogues, positions, regions
``psf``       PSFs of every kind
``images``    images of every kind
``model``     the records and arrays themselves
``files``     files opened, bounded and replaced safely
============  ============================================================

Each of these knows those below it (``tests/test_layers.py``).
"""

from galstep.datamodels.galaxy import GalaxyModel, Meta
from galstep.datamodels.model.band import BandData

__all__ = ["BandData", "GalaxyModel", "Meta"]
