"""Whole modules of classes that nobody registered: their layers are read, their code is in no file."""
