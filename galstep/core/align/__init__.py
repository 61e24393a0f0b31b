"""Alignment of images by their stars."""
