"""The page of the documentation on notebooks, run as it stands."""

import doctest
import re
from pathlib import Path

import pytest

from galstep.testing.fields import make_field

PAGE = Path(__file__).parents[2] / "docs" / "notebook.rst"


def test_the_examples_with_their_answers():
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, "notebook", None, 0)
    assert len(test.examples) > 5
    told = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, None, told.append)
    assert not failed, "".join(told)


@pytest.mark.slow
def test_all_other_blocks(scene, wcs, elsewhere):
    pytest.importorskip("matplotlib")
    made = make_field(
        seed=4, shape=(70, 70), n_stars=6, n_galaxies=2, bands=("g", "r"), subsample=3
    )
    made.write(".")
    Path("field_reference.csv").rename("gaia.csv")
    first, second = scene.truth.filters
    center = wcs.pixel_to_world(35, 35).to_string("hmsdms")
    names = {"wcs": wcs, "catalog": made.catalog}
    for name, end in ((first, "090"), (second, "150")):
        names |= {
            f"image_{end}": scene.data[name], f"psf_{end}": scene.psf_arrays[name],
            f"err_{end}": scene.err[name],
        }  # fmt: skip
    names |= {"image": names["image_150"], "psf": names["psf_150"], "err": names["err_150"]}
    for name in made.bands:
        names |= {f"image_{name}": made.images[name], f"psf_{name}": made.psf_array(name)}
    found = re.findall(r"::\n\n((?:    .*\n|\n)+)", PAGE.read_text())
    blocks = [
        block for block in found if block.lstrip().startswith(("import", "result", "gal", "f"))
    ]
    assert len(blocks) >= 5
    for block in blocks:
        source = "\n".join(line[4:] for line in block.rstrip().splitlines())
        # the scene is elsewhere on the sky; the field has a WCS of its own
        source = source.replace("10:00:27.3 +02:13:42", center)
        own = names | {"wcs": made.wcs} if "fit_field" in source else names
        exec(compile(source, "notebook.rst", "exec"), own)
