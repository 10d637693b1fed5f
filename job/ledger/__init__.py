"""What the calls of a run have achieved: the result of each call, the state of each item, the totals."""
