"""What people see and type in a shell: help, completion, the table of a scan."""
