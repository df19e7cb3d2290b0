"""What is kept on the disk: models, cases, images of one's own."""
