"""HTML that the page shows unchanged. All text in it is escaped."""
