"""``./inv verify``."""
