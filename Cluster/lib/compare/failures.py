"""Why a comparison has no figures."""


class Missing(Exception):
    """A program is not there. Exit 2, nothing was changed."""


class Failed(Exception):
    """A run did not do what its figures would say. Exit 1."""
