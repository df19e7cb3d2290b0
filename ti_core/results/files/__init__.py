"""What is said of a file before its model is inspected: records that the confined process writes."""
