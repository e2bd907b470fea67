"""One module a command: puts the parts together and shows what came of it. Tasks call these and nothing else."""
