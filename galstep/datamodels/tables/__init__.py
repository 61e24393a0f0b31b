"""A galaxy as tables and in words: columns, magnitudes, flags."""
