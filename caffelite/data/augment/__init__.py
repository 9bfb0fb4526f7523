"""How images and their boxes are resized, and changed by chance."""
