"""What commands do, in modules of their names: imported when one is run, not for its help."""
