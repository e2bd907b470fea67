"""The lab's machines, and what is run on them."""
