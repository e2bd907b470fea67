"""``./inv doctor``."""
