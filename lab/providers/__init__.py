"""The machines: who creates, starts, stops, cuts, pauses and removes them."""
