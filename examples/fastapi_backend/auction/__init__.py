"""An auction house: a backend as there are many, with realtime added beside it."""
