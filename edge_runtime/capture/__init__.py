"""Cameras in a process of their own, which can be killed: what blocks in a driver blocks nobody else."""
