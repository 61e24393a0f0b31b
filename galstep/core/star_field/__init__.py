"""PSF photometry of whole fields: all stars of an image, however large, at once."""
