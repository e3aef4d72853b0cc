"""A ledger: an application that live tests run on a database that fails. Each entry is two rows, or none."""

from rtserver import App, Database, Transaction

app = App("ledger", prefix="/ledger")

TABLE = "create table ledger (entry bigint, side text, primary key (entry, side))"


@app.post("/{entry}", status=201)
async def enter(entry: int, database: Database) -> None:
    async def work(transaction: Transaction) -> None:
        for side in ("debit", "credit"):
            await transaction.run("insert into ledger values (?, ?)", (entry, side))

    await database.transact(work)


@app.get("")
async def count(database: Database) -> int:
    ((rows,),) = await database.run("select count(*) from ledger")
    return int(rows)
