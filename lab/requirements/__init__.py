"""What a lab needs of its host: looked at in a moment, told all at once, before anything slow begins."""
