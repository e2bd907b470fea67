"""What a lab is: the functions of its nodes, what each was given, what changes it. Pure."""
