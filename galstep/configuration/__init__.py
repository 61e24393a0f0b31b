"""Parameter files written for the user, and configurations of sphot read.

====================  ======================================================
``parameters``        every parameter of a pipeline, from the specs
``writer``            `write_parameter_file`: a commented ASDF parameter file
``sphot_keys``        the keys of a sphot configuration and what became of them
``convert``           `convert_config`: such a configuration as a parameter file
``tract7dt_keys``     the keys of a tract7dt configuration
``convert_tract7dt``  `convert_tract7dt`: such a configuration as a parameter file
====================  ======================================================
"""

from galstep.configuration.convert import convert_config
from galstep.configuration.convert_tract7dt import convert_tract7dt
from galstep.configuration.writer import write_parameter_file

__all__ = ["convert_config", "convert_tract7dt", "write_parameter_file"]
