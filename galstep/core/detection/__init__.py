"""Stars: found, fitted, pruned, from bright to faint."""
