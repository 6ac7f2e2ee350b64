"""How many threads libraries take for themselves."""

from threadpoolctl import threadpool_limits


def give_numpy_one_thread() -> None:
    """For its products. Several small functions run at once: their threads would wait for each other, on a busy machine
    for a hundred times as long as they compute; and the network that runs next would wait for them, too."""
    threadpool_limits(1, user_api="blas")
