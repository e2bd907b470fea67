"""What any program needs of its host: it knows nothing of labs."""
