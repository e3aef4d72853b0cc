"""Lots and bids. They live in this process and end with it; a database would stand here."""

from dataclasses import dataclass, replace

STEP = 10
OPEN_SECONDS = 120.0
SOLD_SECONDS = 10.0


class Refused(Exception):
    """A bid that does not count; the sentence says why."""


@dataclass(frozen=True)
class Lot:
    """One lot. ``price`` in euros, times in Unix seconds. ``bids`` counts those of this round, ``version`` every change."""

    id: int
    title: str
    detail: str
    start: int
    price: int
    ends_at: float
    bidder: str = ""
    bids: int = 0
    sold: bool = False
    version: int = 0


GOODS = (
    (1, "Brass sextant", "London, about 1870, in its case", 240),
    (2, "Typewriter", "Works, but writes e as o", 60),
    (3, "Map of an island", "Nobody knows which one", 110),
)


class Auction:
    """The lots by id. Every method that changes one returns it as it is then."""

    def __init__(self, now: float) -> None:
        self.lots = {
            id: Lot(id, title, detail, price, price, now + OPEN_SECONDS + 15 * id) for id, title, detail, price in GOODS
        }

    def bid(self, id: int, bidder: str, amount: int, now: float) -> Lot:
        lot = self.lots.get(id)
        if lot is None:
            raise Refused("there is no such lot")
        if lot.sold or lot.ends_at <= now:
            raise Refused(f"{lot.title} is sold already")
        least = lot.price + (STEP if lot.bids else 0)
        if amount < least:
            raise Refused(f"{lot.title}: bid {least} € or more")
        return self._change(lot, price=amount, bidder=bidder, bids=lot.bids + 1)

    def pass_time(self, now: float) -> list[Lot]:
        """Closes lots whose time is over, and opens them anew a little later. Returns those that changed."""
        changed = []
        for lot in list(self.lots.values()):
            if not lot.sold and lot.ends_at <= now:
                changed.append(self._change(lot, sold=True))
            elif lot.sold and lot.ends_at + SOLD_SECONDS <= now:
                changed.append(
                    self._change(lot, price=lot.start, ends_at=now + OPEN_SECONDS, bidder="", bids=0, sold=False)
                )
        return changed

    def _change(self, lot: Lot, **changes: object) -> Lot:
        self.lots[lot.id] = replace(lot, version=lot.version + 1, **changes)  # type: ignore[arg-type]
        return self.lots[lot.id]
