"""Serve other programs: RELION, cryoSPARC and Dask, each over the same run folder."""
