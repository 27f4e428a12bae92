"""The test lab: directors, real servers and clients on a kernel that has IPVS. See README.md."""

from .channel import LabError
from .lab import Lab, kernel_has_ipvs
from .machine import Machine, Process, ProgramFailed, ProgramTimedOut, Result

__all__ = [
    "Lab",
    "LabError",
    "Machine",
    "Process",
    "ProgramFailed",
    "ProgramTimedOut",
    "Result",
    "kernel_has_ipvs",
]
