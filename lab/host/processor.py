"""What the processor offers for virtual machines: a quick look, which proves nothing yet."""

from __future__ import annotations

import os
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

KVM = Path("/dev/kvm")


def virtualisation_flag(cpuinfo: str) -> str:
    """vmx (Intel) or svm (AMD) when the processor's flags hold it, else ""."""
    match = re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE)
    return match.group(1) if match else ""


def kvm_may_work() -> bool:
    """May hardware virtualisation work here? Only a guest that runs proves that it does."""
    return bool(virtualisation_flag(CPUINFO.read_text())) and os.access(KVM, os.R_OK)
