"""Serve other programs: RELION, cryoSPARC and Dask all use the same run folder."""
