"""The pure rooms of the house: standard library and msgspec only, no clocks, no sockets, no logging."""
