"""The kernel of a PSF, measured on the stars of the frame."""
