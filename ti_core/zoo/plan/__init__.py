"""The plan of a zoo: the recipe of each network, and the menus that recipes are drawn from."""
