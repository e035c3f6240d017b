//! Nothing: see `rigs/newer-openssl`.
