"""The files that are written of a galaxy, and its model read again."""
