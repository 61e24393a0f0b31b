"""Positions, stars and magnitudes that users bring."""
