"""The detector: class scores of all streams to features, features to a calibrated probability."""
