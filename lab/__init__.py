"""A highly available Kubernetes lab that proves itself.

Modules depend on each other in one direction only::

    definition -> topology -> plan -> providers / payload / box -> provisioning -> cluster -> verify -> report, handouts

Below all of them lie ``errors``, ``command``, ``console``, ``cache`` and ``identity``, which know nothing of labs.
"""

__version__ = "1.0.0"
