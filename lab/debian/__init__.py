"""Debian 12's packages, from whatever mirror this host is configured to use."""
