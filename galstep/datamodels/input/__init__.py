"""One door for a galaxy: files and objects to its bands."""
