"""Public data sets fetched: whole, verified, unpacked without trust."""
