"""Kubernetes' releases, and what kubeadm is told."""
