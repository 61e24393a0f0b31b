"""Sources of known flux put into real images, and what became of them."""
