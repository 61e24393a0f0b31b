"""Galaxies of known brightness and of odd names, saved as a batch saves them."""

from dataclasses import replace

from sample_models import make_model

#: Names that are markup, quotes, escapes and paths to somebody who is careless.
ODD_NAMES = (
    "<script>document.title='owned'</script>".replace("/", "_"),
    "<img src=x onerror=document.title='owned'>",
    "quote\" onmouseover='document.title=1'",
    "a&amp;b #1?x=2%41",
    "Hα 銀河",
)
MAGNITUDES = {"g10": 1.0, "g2": 4.0, "g33": 0.25}


def faded(factor):
    """The model with all light and errors times a factor."""
    model = make_model()
    for band in model.bands.values():
        if band.fitted:
            (galaxy,) = band.fit.sersic
            galaxy = replace(galaxy, flux=factor * galaxy.flux, flux_err=factor * galaxy.flux_err)
            band.fit = replace(
                band.fit, sersic=(galaxy,), flux=factor * band.fit.flux,
                flux_err=factor * band.fit.flux_err,
            )  # fmt: skip
    return model


def save(model, folder, name):
    """Save it where a batch does."""
    (folder / name).mkdir(parents=True)
    model.meta.name = name
    model.save(folder / name / f"{name}_gal.asdf")
    (folder / name / f"{name}_phot.ecsv").write_text("table")
    (folder / name / f"{name}_qa.png").write_bytes(b"picture")
