"""How well images' values on the way through a draft fit the statistics that the file stores."""
