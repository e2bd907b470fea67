"""The oracle: what a definition's own timers promise. Pure arithmetic, no measurement."""
