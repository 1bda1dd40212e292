"""yolo-slim detect: see yolo_slim/cli/detect.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("detect")
