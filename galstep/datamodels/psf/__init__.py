"""Readers of PSFs, from whatever the user has."""
