"""The machines' image, built on this host from the distribution's packages with every install script already run."""
