"""The pods that cases create: no fault, but as little may be left of them."""

from __future__ import annotations

from lab.faults.kind import Kind, each

#: The name of what stands for them. Its target is the master that deletes them, through its own apiserver: the VIP may
#: be what a case has just found to be broken.
TEST_PODS = "test-pods"

KINDS = (
    Kind(
        TEST_PODS,
        begin=lambda hands, fault: {},
        heal=lambda hands, fault: each(fault, hands.delete_test_pods),
        on_holder=False,
        litter=True,
    ),
)
