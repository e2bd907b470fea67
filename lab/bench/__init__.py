"""Measuring the lab: how long it takes to come up, and how long a fault is felt. Several rounds, median and spread."""
