"""What rtserver asks: who connects, which channels are there, what may be said, and what a call answers (docs/proxies.md)."""

import hmac
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request
from pydantic import BaseModel, Field, ValidationError

from auction.lots import Auction, Refused
from auction.publishing import publish_lot

KEY = b"example-key"
LONGEST_TEXT = 200
Answer = dict[str, Any]


class Asked(BaseModel):
    """The fields that matter here. ``user`` is what `connect` answered."""

    user: str = ""
    channel: str = ""
    method: str = ""
    data: Any = None


class Bid(BaseModel):
    lot: int
    amount: int = Field(gt=0, le=1_000_000)


def from_rtserver(x_backend_key: Annotated[str, Header()]) -> None:
    """Browsers do not know the key: they cannot ask in another's name."""
    if not hmac.compare_digest(x_backend_key.encode(), KEY):
        raise HTTPException(403)


router = APIRouter(prefix="/rt", dependencies=[Depends(from_rtserver)], include_in_schema=False)


def auction(request: Request) -> Auction:
    found: Auction = request.app.state.auction
    return found


TheAuction = Annotated[Auction, Depends(auction)]


@router.post("/connect")
async def connect(request: Request) -> Answer:
    """The cookie came along: the session is the same as for pages. Without one it is a guest, who may look."""
    return {"result": {"user": request.session.get("name", "")}}


@router.post("/subscribe")
async def subscribe(asked: Asked, auction: TheAuction) -> Answer:
    """`lots:<id>` and `talk:<id>`, for everybody, if there is such a lot."""
    id = asked.channel.partition(":")[2]
    if not id.isdecimal() or int(id) not in auction.lots:
        return error(1404, "there is no such lot")
    return {"result": {}}


@router.post("/publish")
async def publish(asked: Asked) -> Answer:
    """What becomes of a text that somebody sends to `talk:<id>`."""
    if not asked.user:
        return error(1401, "sign in to say something")
    text = asked.data.get("text") if isinstance(asked.data, dict) else None
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST_TEXT:
        return error(1400, f"write 1 to {LONGEST_TEXT} characters")
    return {"result": {"data": {"text": text.strip(), "author": asked.user, "at": time.time()}}}


@router.post("/rpc")
async def call(asked: Asked, auction: TheAuction) -> Answer:
    if asked.method != "bid":
        return {"error": {"code": 104}}
    if not asked.user:
        return error(1401, "sign in to bid")
    try:
        bid = Bid.model_validate(asked.data)
        lot = auction.bid(bid.lot, asked.user, bid.amount, time.time())
    except (ValidationError, Refused) as refusal:
        return error(1400, str(refusal) if isinstance(refusal, Refused) else "a bid is {lot, amount} in whole euros")
    await publish_lot(lot)
    return {"result": {"data": {"price": lot.price}}}


def error(code: int, message: str) -> Answer:
    return {"error": {"code": code, "message": message}}
