"""A highly available Kubernetes lab that proves itself.

Modules depend on each other in one direction only::

    definition -> topology -> plan -> providers / payload / box -> provisioning -> cluster -> verify -> report, handouts
        -> operations -> commands

Below all of them lie ``host``, ``errors``, ``command`` and ``cache``, which know nothing of labs. Only commands and
what puts them together (``cli``, ``program``, ``console``) know of a terminal; tests/test_layers.py holds it to this.
"""

__version__ = "1.0.0"
