"""Mark-up that the page shows as it is; all text in it is escaped."""
