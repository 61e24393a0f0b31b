"""Sources on frames and their fit: any number of stars and galaxies in any number of bands."""
