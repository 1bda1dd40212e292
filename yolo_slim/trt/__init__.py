"""TensorRT: its two packages and two generations, behind one door. Imported when it is needed."""
