"""The engine end to end, beside bare Dask, Ray, Parsl and a pool of processes, in one run."""
