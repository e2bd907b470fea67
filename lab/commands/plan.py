"""``./inv plan``: render everything and show it; touches nothing but the lab's folder."""

from __future__ import annotations
