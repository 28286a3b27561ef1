"""Every fix that kdiag can propose, one function each, with the real values filled in."""
