"""A run on another machine: the near side, which sends the program, and the far side, which has the bytes."""
