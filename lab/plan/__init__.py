"""Every file of a lab, from its topology and the site it is made for. Same input, same bytes."""

from lab.plan.render import File, render
from lab.plan.site import Site
from lab.plan.steps import STEPS, Step, steps_of
from lab.plan.write import differing, write

__all__ = ["STEPS", "File", "Site", "Step", "differing", "render", "steps_of", "write"]
