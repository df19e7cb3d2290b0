"""The demonstration: one story in eight steps, told with the bundled samples."""
