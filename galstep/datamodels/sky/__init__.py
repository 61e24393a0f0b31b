"""Whole images, one or several: read, corrected, measured and written."""
