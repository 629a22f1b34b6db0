"""Programs that look for faults by feeding damaged input for as long as they are let: each runs by itself."""
