"""The command line: words in, a call out."""
