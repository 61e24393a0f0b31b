"""Apertures: what they are, what they hold, what their sums are worth."""
