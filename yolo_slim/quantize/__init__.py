"""INT8: which sections, and from which ranges."""
