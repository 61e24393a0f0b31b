"""Images of galaxies and stars: profiles, Fourier transforms, stamps, skies, pixel grids."""
