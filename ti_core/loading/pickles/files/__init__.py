"""Files of ``torch.save`` as containers: where the pickle is, and where the numbers of each storage are."""
