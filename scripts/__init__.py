"""What the Makefile needs beyond one line of shell; standard library only."""
