"""The checks and generators that the Makefile calls: they look at the repository, the package never imports them."""
