"""Options that several commands take, read the same way by each."""

from __future__ import annotations

from lab.errors import UsageError
from lab.stage import Stage

PROVIDERS = ("auto", "libvirt", "lxc")


def check_provider(provider: str) -> None:
    """Refuse a --provider that does not exist. Raises UsageError."""
    if provider and provider not in PROVIDERS:
        raise UsageError(f"--provider {provider}: no such provider", f"one of {', '.join(PROVIDERS)}")


def stage(until: str) -> Stage:
    """How far ``--until`` says that a lab shall come. Raises UsageError."""
    try:
        return Stage(until)
    except ValueError:
        raise UsageError(f"--until {until}: no such stage", f"one of {', '.join(Stage)}") from None
