"""The sections of the pages. Each module shows one of them."""
