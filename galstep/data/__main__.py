"""Print the path of the example's parameter file."""

from galstep.data import example_path

print(example_path())
