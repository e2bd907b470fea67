"""Faults: what is done to a lab, what undoes it, what is promised of it, and the ledger that outlives a kill."""
