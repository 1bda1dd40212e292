"""Make a Darknet-cfg YOLO detector small and fast without losing what it detects."""

__version__ = "0.1.0"
