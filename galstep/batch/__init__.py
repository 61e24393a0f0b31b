"""Many galaxies: one run of the pipeline each, one summary of all.

===================  =======================================================
``inputs``           the list of galaxies: a table, a pattern, file names
``parameters``       what a galaxy is measured with, and the hash of it
``hashing``          hashes of files and of parameters
``job``              `Job` and `Outcome`, what goes to a worker and comes back
``measure``          one galaxy measured, in whichever process
``worker``           the loop of a worker process (``python -m``)
``worker_process``   a worker process seen from outside
``row``              a galaxy's result as one row
``summary``          the table of all rows, kept on disk
``plan``             which galaxies have to be measured
``run``              `run_batch`: all of it
===================  =======================================================
"""

from galstep.batch.run import BatchOptions, run_batch

__all__ = ["BatchOptions", "run_batch"]
