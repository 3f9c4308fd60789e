"""Keep immutable values: on disk through Zarr, or in memory."""
