"""How it is computed: arrays and records in, arrays and records out.

From the ground up; each part knows those before it:

==============  ==============================================================
imaging         images of galaxies and stars: profiles, transforms, stamps, sky
psf             the effective PSF: library array, kernel, correction
engine          one scene and its fit: parameters, normal equations, solvers
noise           the noise that frames have, and errors that know of it
population      which sources are stars of the frame, which pieces of a galaxy
measurement     from a fitted scene to the records that are reported
detection       stars found, fitted and pruned: the threshold ladder
fitting         the fits that steps ask for: base, scaled, forced, joint
calibration     the kernel of a PSF, from the stars of the frame
photometry      apertures: what they are, hold and are worth
injection       known sources in real images, and what became of them
align           images aligned by their stars
star_field      stars of whole fields, tile by tile
==============  ==============================================================
"""
