"""Proving that the lab survives: faults change it, probes record it, checks judge the record.

The three never meet: a fault knows nothing of verdicts, a check nothing of machines. What lies between them is the
history, a file of observations, so that an old run can be judged again.
"""
