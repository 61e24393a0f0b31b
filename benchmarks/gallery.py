"""Pictures of the documentation: the packaged galaxies measured and drawn.

``python benchmarks/gallery.py [STRUCTURED_gal.asdf EXAMPLE_gal.asdf]``

Runs the packaged galaxies (or takes products that are there) and writes ``docs/_static/gallery_*``,
each below 300 kB. Draw them anew when the pictures change.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from galstep.datamodels import GalaxyModel
from galstep.plotting import FIGURES
from galstep.testing.run_example import run

STATIC = Path(__file__).parents[1] / "docs" / "_static"
LARGEST = 300_000  # bytes
# galaxy, picture, width (pixels), what of it from above
SHOWN = (
    ("structured", "qa", 1100, 1.0),
    ("example", "qa", 1100, 0.62),
    ("example", "profiles", 900, 1.0),
    ("example", "sed", 600, 1.0),
    ("example", "stars", 600, 1.0),
    ("example", "convergence", 800, 1.0),
)


def draw(model: GalaxyModel, picture: str, width: int, share: float) -> Image.Image:
    """A picture scaled to ``width`` pixels, its upper ``share``."""
    stream = io.BytesIO()
    FIGURES[picture](model).savefig(stream, dpi=160)
    image = Image.open(stream).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
    return image.crop((0, 0, width, round(share * image.height)))


def save(image: Image.Image, stem: Path) -> None:
    """Write, below `LARGEST`: photographs of the sky as JPEG, drawings as PNG of 256 colours."""
    if stem.name.endswith("_qa"):
        path = stem.with_suffix(".jpg")
        for quality in range(92, 40, -4):
            image.save(path, quality=quality, subsampling=0, optimize=True)
            if path.stat().st_size < LARGEST:
                break
    else:
        path = stem.with_suffix(".png")
        image.quantize(256, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(path.name, path.stat().st_size // 1000, "kB")


def main() -> None:
    """Measure, draw, write."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("structured", "example")
        if len(sys.argv) > 1:
            models = dict(zip(names, map(GalaxyModel.open, sys.argv[1:]), strict=True))
        else:
            models = {name: run(folder, name) for name in names}
        for name, picture, width, share in SHOWN:
            image = draw(models[name], picture, width, share)
            save(image, STATIC / f"gallery_{name}_{picture}")


if __name__ == "__main__":
    main()
