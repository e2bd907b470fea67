"""Kubernetes' programs and images: one interface, several sources."""
