"""yolo-slim report: see yolo_slim/cli/report.py."""

import sys
from pathlib import Path

# This folder holds a profile.py: first on the path, it would hide Python's own from torch.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("report")
