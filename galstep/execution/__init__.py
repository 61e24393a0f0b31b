"""Where calls are carried out: here, in worker processes, or on a Dask cluster; and how far they are."""
