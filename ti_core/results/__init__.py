"""What an inspection leaves, as plain data: the report and the case."""
