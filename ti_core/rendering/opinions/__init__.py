"""Second opinions as a page of their own, and as drawings of a report."""
