"""Class activation maps: methods that rest on the last feature map."""
