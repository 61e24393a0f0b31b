"""The fits that steps ask for: one band, forced, all bands at once."""
