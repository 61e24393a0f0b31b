"""Sphinx configuration: ``python -m sphinx docs docs/_build``."""

import sys
from pathlib import Path

from galstep import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "galstep"
author = "The galstep developers"
copyright = "the galstep developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "galstep_rooms",
    "galstep_tables",
]
exclude_patterns = ["_build", "_ext"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Galaxies measured through crowded star fields",
    # lines of code are up to 128 characters long
    "page_width": "1240px",
}
default_role = "py:obj"
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
# the types stand in the docstrings
autodoc_typehints = "none"
# every reference must lead somewhere (-n); those to other packages are not looked up, so that the
# pages can be built without a network
nitpick_ignore_regex = [
    (r"py:.*", r"(asdf|astropy|concurrent|configobj|dataclasses|logging|np|numpy|pathlib)\..*"),
    (
        r"py:.*",
        r"(matplotlib|photutils|regions|scipy|stpipe|types|tweakwcs|gwcs|distributed)(\..*)?",
    ),
]
