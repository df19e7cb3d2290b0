"""Which networks are trained, and how: recipes and menus."""
