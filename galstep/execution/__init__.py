"""Where calls are carried out: here, in worker processes, or on a Dask cluster."""
