"""The order in which machines become a cluster. Knows order only: what a step does stands in provision/.

The table in lab.plan.steps says who goes through what, after what, and of whom only one at a time: a row more is a
step more. What is no row is here: where a cluster begins, who joins through whom, when one must begin again. In short::

    every machine   its own steps, in the table's order, beside all others
    first           init, once there is a load balancer everywhere and the virtual IP answers
    etcd's members  join, one after another (etcd admits one new member at a time)
    workers         join, side by side, as soon as the first control plane is up

Load balancers that are in use are changed one after another instead, so that the virtual IP stays with somebody.

Where a cluster exists already, machines that are not in it join through a member that answers; before that it forgets
what it still knows of machines that were lost. A cluster that can never have its quorum again cannot be saved: one that
was never whole is begun again from init, and that is said; one that was, only on demand.
"""

from lab.provisioning.balancing import balance
from lab.provisioning.order import Provisioner
from lab.provisioning.scripts import Scripts, kept, rendered
from lab.provisioning.step import Script, run_step
from lab.provisioning.work import Work

__all__ = ["Provisioner", "Script", "Scripts", "Work", "balance", "kept", "rendered", "run_step"]
