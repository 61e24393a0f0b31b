"""The command ``galstep``: what ``strun`` does not do.

=====================  ====================================================
``galstep batch``      measure many galaxies
``report``             a page to look at them
``params``             list parameters with default, unit and meaning
``make-config``        write a commented parameter file
``convert-config``     turn a configuration of sphot into a parameter file
=====================  ====================================================
"""

from galstep.cli.main import main

__all__ = ["main"]
