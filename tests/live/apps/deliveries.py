"""Delivers what was paid. Of what is only held, the first attempt fails."""

from rtserver import App
from rtserver.app.given import Payment, User

app = App("deliveries")
tried: set[str] = set()
delivered: list[tuple[str, str]] = []


@app.on_payment("payment.*")
async def deliver(payment: Payment) -> None:
    if payment.record["state"] == "authorized" and payment.id not in tried:
        tried.add(payment.id)
        raise RuntimeError("the printer is out of paper")
    delivered.append((payment.order, payment.record["state"]))


@app.get("/deliveries")
async def deliveries(user: User) -> list[tuple[str, str]]:
    return delivered
