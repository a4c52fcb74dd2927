"""What you run: the command line, one file for each job, YAML recipes and reports."""
