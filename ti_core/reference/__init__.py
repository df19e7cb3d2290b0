"""What a suspect is compared with: reference packs, their evidence, and images of the user's own."""
