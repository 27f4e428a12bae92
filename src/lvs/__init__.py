"""The LVS director: one lvs.toml or lvs.cf in, a Linux IPVS table out."""

__version__ = "0.1.0"
