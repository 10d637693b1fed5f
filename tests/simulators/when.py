"""Which requests a fault strikes: predicates over `Seen`, to be combined with `both`."""

from collections.abc import Callable

from tests.simulators.seen import Seen

When = Callable[[Seen], bool]


def always(_seen: Seen) -> bool:
    return True


def nth(*numbers: int) -> When:
    """Strikes the service's requests of these numbers; the first is 1."""
    return lambda seen: seen.number in numbers


def first(count: int) -> When:
    return lambda seen: seen.number <= count


def attempt(*numbers: int) -> When:
    """Strikes the first (second, …) time that one and the same thing is asked for."""
    return lambda seen: seen.attempt in numbers


def ticker(*tickers: str) -> When:
    """Strikes requests that are about one of these targets, alone or among others."""
    return lambda seen: any(ticker in tickers for ticker in seen.tickers)


def card(*card_types: str) -> When:
    return lambda seen: seen.card in card_types


def both(*conditions: When) -> When:
    return lambda seen: all(condition(seen) for condition in conditions)
