"""Files of ``torch.save``. An inert outline of the pickle is checked before torch's restricted reader runs."""
