"""The MES's end: each verdict once, and what lacks asked for."""
