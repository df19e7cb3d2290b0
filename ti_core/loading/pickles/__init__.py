"""Files of ``torch.save``: read as an inert outline, checked, and rebuilt; nothing is unpickled."""
