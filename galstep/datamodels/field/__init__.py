"""A field of stars and galaxies: its images, catalogue, model and files."""
